"""Checkpoint files to state dicts to networks, trusting none of them.

Follows what the official loaders accept (``params_ema``, else ``params``, else the dict itself;
``module.`` stripped; strict keys) and refuses everything else in one line. No pickle is ever
allowed to run code: https://docs.pytorch.org/docs/stable/notes/serialization.html#weights-only-unpickler
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
from torch import Tensor, nn

from models import archs
from models.architecture import Architecture, detect_architecture
from models.errors import OptionsError, WeightsMissing, WeightsRefused
from models.registry import MODELS, ModelSpec

__all__ = ["build_network", "detect_architecture", "interpolate", "load_network", "load_state_dict"]

WRAPPERS = ("params_ema", "params")
PICKLE_SUFFIXES = {".pth", ".pt", ".ckpt"}
NAMED_IN_ERRORS = 3  # keys, of what may be hundreds

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
    return _without_module_prefix(state, path)


def load_network(spec: ModelSpec | Architecture, state: Mapping[str, Tensor]) -> nn.Module:
    """Build the network and fill it, strictly.

    Args:
        spec: a registered model, or an architecture as ``detect_architecture`` found it.
        state: every key of that network, nothing else; any floating dtype.

    Returns:
        The float32 network in eval mode, its parameters without gradients. Float32 tensors of
        ``state`` are taken over, not copied.

    Raises:
        WeightsRefused: keys, shapes or types do not fit, or a number is not finite.
    """
    label = spec.name if isinstance(spec, ModelSpec) else str(spec)
    with torch.device("meta"):  # no memory, no initialisation: every parameter is replaced
        network = build_network(spec.architecture if isinstance(spec, ModelSpec) else spec)
    if complaint := _misfit(network.state_dict(), state):
        raise WeightsRefused(f"does not fit {label}: {complaint}{_other_model(label, state)}")
    for key, tensor in state.items():
        if not tensor.is_floating_point():
            raise WeightsRefused(f"does not fit {label}: {key} is {_dtype(tensor)}, not floating point")
        if not tensor.isfinite().all():
            raise WeightsRefused(f"spoiled weights: {key} has numbers that are infinite or not numbers")
    network.load_state_dict({key: tensor.float() for key, tensor in state.items()}, strict=True, assign=True)
    return network.eval().requires_grad_(requires_grad=False)


def build_network(architecture: Architecture) -> nn.Module:
    """Make the network an architecture describes, with whatever weights its class starts with.

    Raises:
        WeightsRefused: the arguments are none of that network's.
    """
    network_class: type[nn.Module] = getattr(archs, architecture.name)
    try:
        return network_class(**architecture.arguments)
    except (TypeError, ValueError) as exc:
        raise WeightsRefused(f"cannot build {architecture}: {exc}") from exc


def interpolate(a: Mapping[str, Tensor], b: Mapping[str, Tensor], strength: float) -> dict[str, Tensor]:
    """Blend two networks of one layout: ``strength`` of ``a``, the rest of ``b``.

    With a = realesr-general-x4v3 and b = realesr-general-wdn-x4v3 the strength is that of denoising.
    Deep network interpolation, Wang et al. 2019, https://arxiv.org/abs/1811.10515

    Returns:
        New float32 tensors.

    Raises:
        OptionsError: ``strength`` is outside [0, 1].
        WeightsRefused: the two have different keys or shapes.
    """
    if not 0 <= strength <= 1:  # false for NaN as well
        raise OptionsError(f"the denoise strength goes from 0 to 1, not {strength:g}")
    if complaint := _misfit(a, b):
        raise WeightsRefused(f"two networks of different layout cannot be blended: {complaint}")
    return {key: strength * tensor.float() + (1 - strength) * b[key].float() for key, tensor in a.items()}


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


def _misfit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Say what is missing, unexpected or wrongly shaped; nothing if it fits."""
    wrong = {
        f"{key} {tuple(found[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in wanted.items()
        if key in found and found[key].shape != tensor.shape
    }
    complaints = (
        ("missing", wanted.keys() - found.keys()),
        ("unexpected", found.keys() - wanted.keys()),
        ("of wrong shape", wrong),
    )
    return "; ".join(f"{len(keys)} {what} ({_some(keys)})" for what, keys in complaints if keys)


def _some(names: set[str]) -> str:
    first = [name[:80] for name in sorted(names)[:NAMED_IN_ERRORS]]
    return ", ".join(first) + (", ..." if len(names) > NAMED_IN_ERRORS else "")


def _other_model(label: str, state: Mapping[str, Tensor]) -> str:
    """Name the registered models whose layout this is, as a hint."""
    try:
        found = detect_architecture(state)
    except WeightsRefused:
        return ""
    twins = [name for name, spec in MODELS.items() if spec.architecture == found and name != label]
    return f"; this looks like {' or '.join(twins) or found}"


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


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
