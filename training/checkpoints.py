"""A run's state on disk: everything that the next step depends on, in a file that replaces the last one whole."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from training.errors import CheckpointError


def save_checkpoint(
    path: Path, parts: Mapping[str, nn.Module | Optimizer], identity: Mapping[str, str], step: int
) -> None:
    """Write a checkpoint beside the old one, then take its place.

    Args:
        path: of the file.
        parts: networks and optimizers by name.
        identity: what has to be the same for another process to go on from here.
        step: steps done.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    torch.save(
        {"step": step, "identity": dict(identity), "parts": {name: part.state_dict() for name, part in parts.items()}},
        half,
    )
    half.replace(path)


def load_checkpoint(path: Path, parts: Mapping[str, nn.Module | Optimizer], identity: Mapping[str, str]) -> int:
    """Bring networks and optimizers to where a checkpoint left them.

    Returns:
        Steps done.

    Raises:
        CheckpointError: unreadable, or of a run with other settings or patches.
    """
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        theirs, states, step = kept["identity"], kept["parts"], kept["step"]
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as exc:
        raise CheckpointError(f"{path} is no checkpoint: {exc}") from exc
    if theirs != dict(identity) or set(states) != set(parts):
        changed = [name for name, value in identity.items() if theirs.get(name) != value] or ["networks"]
        raise CheckpointError(
            f"{path} belongs to another run (other {', '.join(changed)}): set train.folder, or begin anew with --fresh"
        )
    for name, part in parts.items():
        part.load_state_dict(states[name])
    return int(step)
