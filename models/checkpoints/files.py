"""Checkpoint files to tensors, trusting none of them.

Follows what the official loaders accept (``params_ema``, else ``params``, else the dict itself;
``module.`` stripped) and refuses everything else in one line. No pickle is ever allowed to run
code: https://docs.pytorch.org/docs/stable/notes/serialization.html
"""

from __future__ import annotations

import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from models.checkpoints.esrgan_layouts import with_official_names
from models.errors import WeightsMissing, WeightsRefused

WRAPPERS = ("params_ema", "params")
PICKLE_SUFFIXES = {".pth", ".pt", ".ckpt"}

# A pickle may make the unpickler raise nearly anything; these are all the kinds it can reach.
_LOAD_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.PickleError,
    struct.error,
    zipfile.BadZipFile,
)


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint's tensors, as they are stored.

    Args:
        path: .pth, .pt or .ckpt as torch.save wrote it, or .safetensors.

    Returns:
        Official keys to CPU tensors of the stored dtype; they may be backed by the file.

    Raises:
        WeightsMissing: there is no such file.
        WeightsRefused: damaged, hostile, or something other than a state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsMissing(f"{path} is not there")
    if path.suffix == ".safetensors":
        state = _read_safetensors(path)
    elif path.suffix in PICKLE_SUFFIXES:
        state = _unwrap(_read_pickle(path), path)
    else:
        raise WeightsRefused(f"{path.name}: weights are .pth, .pt, .ckpt or .safetensors files")
    return with_official_names(_without_module_prefix(state, path))


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        state = load_file(path)
    except (*_LOAD_ERRORS, safetensors.SafetensorError) as exc:
        raise WeightsRefused(f"{path.name} is damaged or no safetensors file: {_first_line(exc)}") from exc
    if not state:
        raise WeightsRefused(f"{path.name} holds no tensor")
    return state


def _read_pickle(path: Path) -> object:
    zipped = zipfile.is_zipfile(path)
    if zipped:
        _refuse_compressed_entries(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols and storages: nothing the user can act on
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as exc:
        raise WeightsRefused(
            f"{path.name} is damaged, or would run code when loaded, which is never allowed: {_refused_part(exc)}"
        ) from exc
    except _LOAD_ERRORS as exc:
        raise WeightsRefused(f"{path.name} is damaged or no checkpoint: {_first_line(exc)}") from exc


def _refuse_compressed_entries(path: Path) -> None:
    # torch.save stores. A compressed entry is somebody else's work, and may unpack to anything.
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as exc:
        raise WeightsRefused(f"{path.name} is a damaged archive: {_first_line(exc)}") from exc
    unpacked = sum(entry.file_size for entry in entries)
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or unpacked > path.stat().st_size:
        raise WeightsRefused(f"{path.name} is compressed ({unpacked:,} bytes unpacked); checkpoints are not")


def _unwrap(content: object, path: Path) -> dict[str, Tensor]:
    if isinstance(content, dict):
        content = next((content[wrapper] for wrapper in WRAPPERS if wrapper in content), content)
    if not isinstance(content, dict):
        raise WeightsRefused(f"{path.name} holds a {type(content).__name__}, not a dict of tensors")
    if not content:
        raise WeightsRefused(f"{path.name} holds no tensor")
    claimed = 0
    for key, value in content.items():
        if not isinstance(key, str) or not _is_plain_tensor(value):
            raise WeightsRefused(f"{path.name}: {str(key)[:80]!r} is a {type(value).__name__}, not a plain tensor")
        claimed += value.numel() * value.element_size()
    # A view may repeat one stored number a billion times; it would become real in the first copy.
    if claimed > path.stat().st_size:
        raise WeightsRefused(f"{path.name} claims {claimed:,} bytes of tensors, more than the file has")
    return content


def _is_plain_tensor(value: object) -> TypeGuard[Tensor]:
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def _without_module_prefix(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    stripped = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    if len(stripped) < len(state):
        raise WeightsRefused(f"{path.name} has keys both with and without 'module.'")
    return stripped


def _refused_part(exc: pickle.UnpicklingError) -> str:
    # torch explains at length how to load it all the same; only the line that names the part is news.
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    named = next(
        (line for line in lines if "WeightsUnpickler error:" in line or "GLOBAL" in line), lines[0] if lines else ""
    )
    return named.removeprefix("WeightsUnpickler error:").strip()[:160]


def _first_line(exc: BaseException) -> str:
    lines = str(exc).strip().splitlines()
    return lines[0][:160] if lines else type(exc).__name__
