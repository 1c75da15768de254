"""Ways to make a picture four times as large: doing nothing, two filters, and networks."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmarks.quality import FILTERS, enlarged_by
from models.checkpoints.files import PICKLE_SUFFIXES
from models.checkpoints.state_dicts import detect_architecture, load_network, load_state_dict
from models.loading import COLOURS
from models.weights.file import sha256_of
from models.weights.store import WeightsStore
from training.checkpoints import average_in
from training.degradations import SCALE
from training.evaluation.errors import EvaluationError
from training.evaluation.pictures import Levels

Way = Callable[[Levels], Levels]
"""(h, w, 3) uint8 to (4h, 4w, 3) uint8."""

DO_NOTHING, BICUBIC, LANCZOS = "do nothing", "bicubic", "Lanczos"
SLOW = 5_000_000  # parameters; the answers of such a network are worth keeping
SUFFIXES = {*PICKLE_SUFFIXES, ".safetensors"}


def baselines() -> dict[str, Way]:
    """What every model has to beat: every pixel repeated, and two filters of Pillow."""
    filters = {DO_NOTHING: Image.Resampling.NEAREST, **FILTERS}
    return {name: _without_file(filter_) for name, filter_ in filters.items()}


def _without_file(filter_: Image.Resampling) -> Way:
    enlarge = enlarged_by(filter_)
    return lambda lq: enlarge(lq, b"")


class Network:
    """A bare network in float32: no tiles, no colour lock, nothing before and nothing after.

    Args:
        network: (1, 3, h, w) in [0, 1] to (1, 3, 4h, 4w).
        digest: SHA-256 of its weights.
        device: where it runs.
        answers: folder in which the answers of a slow network are kept; None keeps none.
    """

    def __init__(self, network: nn.Module, *, digest: str, device: torch.device, answers: Path | None) -> None:
        self.digest = digest
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs lack it
        self._network = network.to(device).eval()
        self._device = device
        is_slow = sum(parameter.numel() for parameter in network.parameters()) > SLOW
        self._answers = answers if is_slow else None

    def __call__(self, lq: Levels) -> Levels:
        """Enlarge a picture: (h, w, 3) uint8 to (4h, 4w, 3) uint8, rounded to nearest."""
        if self._answers is None:
            return self._answer(lq)
        file = self._answers / f"{self.digest[:16]}-{self._device.type}" / f"{_digest_of(lq)}.png"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_suffix(f".{os.getpid()}.part")  # others may be at the same picture
            Image.fromarray(self._answer(lq)).save(unfinished, "PNG", compress_level=1)
            unfinished.replace(file)
        with Image.open(file) as kept:
            return np.array(kept)

    def _answer(self, lq: Levels) -> Levels:
        planes = torch.from_numpy(lq.astype(np.float32) / 255).permute(2, 0, 1).unsqueeze(0)
        with torch.inference_mode():
            sr = self._network(planes.to(self._device, memory_format=torch.channels_last)).squeeze(0)
        if not sr.isfinite().all():
            raise EvaluationError("a network answered with numbers that are infinite or not numbers")
        levels: Levels = sr.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()
        return levels


def open_network(model: str, *, weights_dir: Path, device: torch.device, answers: Path | None) -> Network:
    """Read a network.

    Args:
        model: name of an installed model, a weights file (.pth, .pt, .ckpt, .safetensors), or a run's checkpoint.
        weights_dir: folder of the installed ones.
        device: where it shall run.
        answers: as of :class:`Network`.

    Raises:
        RestorationError: not here, damaged, or of no network known.
        EvaluationError: it does not make colour pictures four times as large.
    """
    path = Path(model)
    if path.suffix not in SUFFIXES:
        path = WeightsStore(weights_dir).verify(model).path
    state = average_in(path) or load_state_dict(path)
    architecture = detect_architecture(state)
    if architecture.scale != SCALE or architecture.arguments["num_in_ch"] != COLOURS:
        raise EvaluationError(f"{model} is {architecture}; only ×{SCALE} networks of {COLOURS} colours are compared")
    network = load_network(architecture, state)
    return Network(network, digest=sha256_of(path), device=device, answers=answers)


def labels(models: Sequence[str]) -> Mapping[str, str]:
    """What each model is called in tables: a file by its stem, unless two would be called the same."""
    short = {model: Path(model).stem if Path(model).suffix in SUFFIXES else model for model in models}
    taken = Counter(short.values())
    taken.update((DO_NOTHING, BICUBIC, LANCZOS))
    return {model: name if taken[name] == 1 else model for model, name in short.items()}


def _digest_of(lq: Levels) -> str:
    return hashlib.sha256(f"{lq.shape}".encode() + np.ascontiguousarray(lq).tobytes()).hexdigest()[:32]
