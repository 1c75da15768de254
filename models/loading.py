"""From a model's name to a network ready to run."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from models.checkpoints.architecture import Role
from models.checkpoints.state_dicts import interpolate, load_network, load_state_dict
from models.errors import OptionsError, WeightsRefused
from models.registry import DENOISE_PARTNERS
from models.weights.store import WeightsStore

COLOURS = 3


def load_model(name: str, weights_dir: Path, *, denoise: float | None = None) -> nn.Module:
    """Read a network's weights, float32, on the CPU.

    Args:
        name: of the registry, or of weights brought into the folder.
        weights_dir: the weights folder.
        denoise: 0 keeps the noise, 1 removes it; only for models that come as a pair.

    Raises:
        OptionsError: unknown name, a model that is there for faces, ``denoise`` outside [0, 1] or for a model that has
            no such control.
        WeightsMissing: not in the folder; the message has the command that fetches it.
        WeightsRefused: the file is not what it should be.
    """
    stored = WeightsStore(weights_dir).verify(name, role="upsampler")
    channels = stored.architecture.arguments["num_in_ch"]
    if channels != COLOURS:
        raise WeightsRefused(f"{name} takes pictures of {channels} channels; here they have {COLOURS}")
    state = load_state_dict(stored.path)
    if denoise is not None:
        state = interpolate(state, _partner_state(stored.name, weights_dir), denoise)
    return load_network(stored.architecture, state)


def load_face_network(name: str, weights_dir: Path) -> nn.Module:
    """Read the weights of a network for faces: restorer, detector or parser; float32, on the CPU, in eval mode.

    Args:
        name: of the registry, or of weights brought into the folder.
        weights_dir: the weights folder.

    Returns:
        ``GFPGANv1Clean``, ``RetinaFace`` or ``BiSeNet`` of :mod:`models.archs`, as the weights want it.

    Raises:
        OptionsError: unknown name, or a model that enlarges pictures, or one that :func:`onnx_file` is for.
        WeightsMissing: not in the folder; the message has the command that fetches it.
        WeightsRefused: the file is not what it should be.
    """
    stored = WeightsStore(weights_dir).verify(name)
    if stored.architecture.role == "upsampler":
        raise OptionsError(f"{stored.name} enlarges pictures, and is no network for faces")
    if stored.architecture.is_onnx:
        raise OptionsError(f"{stored.name} is an ONNX file, which OpenCV runs")
    return load_network(stored.architecture, load_state_dict(stored.path))


def onnx_file(name: str, weights_dir: Path) -> Path:
    """Find an ONNX file, checked to the last byte; for OpenCV to open. Errors as :func:`load_face_network`."""
    stored = WeightsStore(weights_dir).verify(name)
    if not stored.architecture.is_onnx:
        raise OptionsError(f"{stored.name} is no ONNX file")
    return stored.path


def digest_of(name: str, weights_dir: Path, *, role: Role | None = "upsampler") -> str:
    """SHA-256 of the file that a model's weights came from; errors as :func:`load_model`. No role: any."""
    return WeightsStore(weights_dir).verify(name, role=role).source_sha256


def _partner_state(name: str, weights_dir: Path) -> dict[str, Tensor]:
    """Weights of the same network that leave the noise where it is."""
    if name not in DENOISE_PARTNERS:
        raise OptionsError(f"{name} has no denoise strength; models that have: {', '.join(DENOISE_PARTNERS)}")
    return load_state_dict(WeightsStore(weights_dir).path(DENOISE_PARTNERS[name]))
