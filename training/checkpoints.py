"""A run's state on disk: everything that the next step depends on, in a file that replaces the last one whole."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from models.checkpoints.state_dicts import load_state_dict
from models.errors import RestorationError
from training.errors import CheckpointError

UNREADABLE = (OSError, RuntimeError, LookupError, TypeError, ValueError, EOFError, pickle.UnpicklingError)


def save_checkpoint(
    path: Path, parts: Mapping[str, nn.Module | Optimizer], identity: Mapping[str, str], step: int
) -> None:
    """Write a checkpoint beside the old one, then take its place.

    Args:
        path: of the file.
        parts: networks and optimizers by name.
        identity: what has to be the same for another process to go on from here.
        step: steps done.

    Raises:
        CheckpointError: it cannot be written; the old one stays.
    """
    half = path.with_suffix(".half")
    try:
        with uninterrupted():
            states = {name: part.state_dict() for name, part in parts.items()}
            path.parent.mkdir(parents=True, exist_ok=True)
            with half.open("wb") as file:
                torch.save({"step": step, "identity": dict(identity), "parts": states}, file)
                file.flush()
                os.fsync(file.fileno())  # or a power failure could leave the name without the bytes
            half.replace(path)
    except (OSError, RuntimeError) as exc:  # torch turns a full disk into a RuntimeError
        raise CheckpointError(f"{path} cannot be written ({exc}); the last checkpoint is as it was") from exc


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait for the end of a block: torch turns one that meets its writer into an error of the disk."""
    if threading.current_thread() is not threading.main_thread():  # signals never reach the others
        yield
        return
    waiting: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: waiting.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            raise KeyboardInterrupt


def load_checkpoint(path: Path, parts: Mapping[str, nn.Module | Optimizer], identity: Mapping[str, str]) -> int:
    """Bring networks and optimizers to where a checkpoint left them.

    Returns:
        Steps done.

    Raises:
        CheckpointError: unreadable, or of a run with other settings or patches.
    """
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        theirs, states, step = dict(kept["identity"]), dict(kept["parts"]), int(kept["step"])
    except UNREADABLE as exc:
        reason = str(exc).partition("\n")[0]  # torch adds advice that would be wrong here
        raise CheckpointError(f"{path} is no checkpoint ({reason}): delete it, or begin anew with --fresh") from exc
    if theirs != dict(identity) or set(states) != set(parts):
        changed = [name for name, value in identity.items() if theirs.get(name) != value] or ["networks"]
        raise CheckpointError(
            f"{path} belongs to another run (other {', '.join(changed)}): set train.folder, or begin anew with --fresh"
        )
    for name, part in parts.items():
        part.load_state_dict(states[name])
    return step


def average_in(path: Path) -> dict[str, Tensor] | None:
    """The averaged weights of a run's checkpoint; None if the file is something else."""
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        average: dict[str, Tensor] = kept["parts"]["average"]
    except UNREADABLE:
        return None
    return average


def start_weights(path: Path) -> dict[str, Tensor]:
    """What another run ended with, to begin with: its average, or the weights of any file that can be installed.

    Args:
        path: a run's checkpoint, .safetensors or .pth.

    Raises:
        CheckpointError: unreadable, or of neither kind.
    """
    try:
        return average_in(path) or load_state_dict(path)
    except (RestorationError, OSError) as exc:
        raise CheckpointError(f"network.start = {path}: {exc}") from exc
