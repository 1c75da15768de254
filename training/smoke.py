"""A quarter of an evening in minutes: train a small network, see the loss fall, stop, go on, compare every bit."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from training.devices import Compute
from training.drawings import write_drawings
from training.errors import TrainingError
from training.patches import Patches, prepare
from training.settings import Settings
from training.trainer import Trainer

DRAWINGS = 16
MEASURED = range(8)  # the steps whose batches the loss is measured on, before and after
IMPROVED = 0.9  # share of the loss that may be left


class SmokeError(TrainingError):
    """Training does not do what it should."""


def smoke(settings: Settings, folder: Path, pictures: Path | None) -> None:
    """Train without a teacher, twice: once straight, once stopped half-way.

    Args:
        settings: of the run; folders in it do not matter.
        folder: for pictures, patches and both runs.
        pictures: the user's; drawings are made where there are none.

    Raises:
        SmokeError: the loss did not fall by a tenth, or the resumed run ends with other weights.
    """
    if pictures is None:
        pictures = folder / "pictures"
        write_drawings(pictures, DRAWINGS)
    patches = prepare(replace(settings.data, pictures=str(pictures), folder=str(folder / "patches")))
    straight = _trainer(settings, patches, folder / "straight")
    before = straight.loss(straight.state.average, MEASURED)
    straight.run(fresh=True)
    after = straight.loss(straight.state.average, MEASURED)
    sys.stdout.write(f"loss {before:.4f} at the beginning, {after:.4f} at the end\n")
    if not after < IMPROVED * before:
        raise SmokeError(f"the loss should have fallen to {IMPROVED * before:.4f} at least")
    stop = settings.train.steps // 2 + 1
    _trainer(settings, patches, folder / "stopped").run(fresh=True, until=stop)
    resumed = _trainer(settings, patches, folder / "stopped")
    resumed.run()
    ours, theirs = (_tensors(trainer) for trainer in (resumed, straight))
    different = [name for name in theirs if not torch.equal(ours[name], theirs[name])]
    if different:
        raise SmokeError(
            f"{len(different)} of {len(theirs)} tensors differ between the run that was stopped and the one that was "
            f"not: {', '.join(different[:3])}"
        )
    sys.stdout.write(
        f"stopped after step {stop} and resumed: all {len(theirs)} tensors of networks and optimizers are the same, "
        "bit for bit\n"
    )


def _trainer(settings: Settings, patches: Patches, folder: Path) -> Trainer:
    mine = replace(settings, train=replace(settings.train, folder=str(folder)))
    return Trainer(mine, patches, None, Compute.pick(mine.train.device, mine.train.dtype, mine.train.threads))


def _tensors(trainer: Trainer) -> dict[str, Tensor]:
    """Every tensor that the next step depends on."""
    found: dict[str, Tensor] = {}
    for name, part in trainer.state.parts().items():
        if isinstance(part, nn.Module):
            found |= {f"{name}.{key}": value for key, value in part.state_dict().items()}
        else:
            for number, kept in part.state_dict()["state"].items():
                found |= {f"{name}.{number}.{key}": torch.as_tensor(value) for key, value in kept.items()}
    return found
