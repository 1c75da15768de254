"""State dicts to networks: strict, blended, or recognised by their layout.

Files become state dicts in ``models.checkpoints.files``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models import archs
from models.checkpoints.architecture import Architecture, detect_architecture
from models.checkpoints.files import load_state_dict
from models.errors import OptionsError, WeightsRefused
from models.registry import MODELS, ModelSpec

__all__ = ["build_network", "detect_architecture", "interpolate", "load_network", "load_state_dict"]

NAMED_IN_ERRORS = 3  # keys, of what may be hundreds


def load_network(spec: ModelSpec | Architecture, state: Mapping[str, Tensor]) -> nn.Module:
    """Build the network and fill it, strictly.

    Args:
        spec: a registered model, or an architecture as ``detect_architecture`` found it.
        state: every key of that network, nothing else; any floating dtype, and whole numbers where it counts.

    Returns:
        The float32 network in eval mode, its parameters without gradients. Float32 tensors of
        ``state`` are taken over, not copied.

    Raises:
        WeightsRefused: keys, shapes or types do not fit, or a number is not finite.
    """
    label = spec.name if isinstance(spec, ModelSpec) else str(spec)
    with torch.device("meta"):  # no memory, no initialisation: every parameter is replaced
        network = build_network(spec.architecture if isinstance(spec, ModelSpec) else spec)
    wanted = network.state_dict()
    if complaint := _misfit(wanted, state):
        raise WeightsRefused(f"does not fit {label}: {complaint}{_other_model(label, state)}")
    for key, tensor in state.items():
        if tensor.is_floating_point() != wanted[key].is_floating_point():
            kind = "floating point" if wanted[key].is_floating_point() else "whole numbers"
            raise WeightsRefused(f"does not fit {label}: {key} is {_dtype(tensor)}, not {kind}")
        if not tensor.isfinite().all():
            raise WeightsRefused(f"spoiled weights: {key} has numbers that are infinite or not numbers")
    taken = {key: tensor.to(wanted[key].dtype) for key, tensor in state.items()}
    network.load_state_dict(taken, strict=True, assign=True)
    return network.eval().requires_grad_(requires_grad=False)


def build_network(architecture: Architecture) -> nn.Module:
    """Make the network an architecture describes, with whatever weights its class starts with.

    Raises:
        WeightsRefused: the arguments are none of that network's, or it is an ONNX file.
    """
    if architecture.is_onnx:
        raise WeightsRefused(f"{architecture.name} is an ONNX file, which OpenCV runs")
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


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
