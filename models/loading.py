"""From a model's name to a network ready to run."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from models.checkpoints import detect_architecture, interpolate, load_network, load_state_dict
from models.errors import OptionsError, WeightsRefused
from models.registry import MODELS

COLOURS = 3
DENOISE_PARTNERS = {"realesr-general-x4v3": "realesr-general-wdn-x4v3"}  # strength 1 to strength 0


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
    state = _read(name, weights_dir)
    if denoise is not None:
        partner = DENOISE_PARTNERS.get(name)
        if partner is None:
            raise OptionsError(f"{name} has no denoise strength; models that have: {', '.join(DENOISE_PARTNERS)}")
        state = interpolate(state, _read(partner, weights_dir), denoise)
    architecture = detect_architecture(state)
    if architecture.arguments["num_in_ch"] != COLOURS:
        raise WeightsRefused(f"{name} takes {architecture.arguments['num_in_ch']} channels; pictures here have 3")
    return load_network(MODELS.get(name, architecture), state)


def _read(name: str, weights_dir: Path) -> dict[str, Tensor]:
    from models.weights import WeightsStore

    return load_state_dict(WeightsStore(weights_dir).path(name))
