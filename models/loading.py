"""From a model's name to a network ready to run."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

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
        OptionsError: unknown name, ``denoise`` outside [0, 1] or for a model that has no such control.
        WeightsMissing: not in the folder; the message has the command that fetches it.
        WeightsRefused: the file is not what it should be.
    """
    stored = WeightsStore(weights_dir).verify(name)
    channels = stored.architecture.arguments["num_in_ch"]
    if channels != COLOURS:
        raise WeightsRefused(f"{name} takes pictures of {channels} channels; here they have {COLOURS}")
    state = load_state_dict(stored.path)
    if denoise is not None:
        state = interpolate(state, _partner_state(stored.name, weights_dir), denoise)
    return load_network(stored.architecture, state)


def digest_of(name: str, weights_dir: Path) -> str:
    """SHA-256 of the file that a model's weights came from; errors as :func:`load_model`."""
    return WeightsStore(weights_dir).verify(name).source_sha256


def _partner_state(name: str, weights_dir: Path) -> dict[str, Tensor]:
    """Weights of the same network that leave the noise where it is."""
    if name not in DENOISE_PARTNERS:
        raise OptionsError(f"{name} has no denoise strength; models that have: {', '.join(DENOISE_PARTNERS)}")
    return load_state_dict(WeightsStore(weights_dir).path(DENOISE_PARTNERS[name]))
