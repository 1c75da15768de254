"""Small runs: drawings instead of photographs, patches of 96 px, networks of 8 channels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from training.devices import Compute
from training.drawings import drawing
from training.patches import Patches, prepare
from training.settings import (
    DataSettings,
    LossSettings,
    NetworkSettings,
    Settings,
    TeacherSettings,
    TrainSettings,
)
from training.trainer import Trainer

PICTURES = 5


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with five drawings of 160x128, one of them in a folder of its own."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "more").mkdir()
    for number in range(PICTURES):
        place = folder / "more" if number == 2 else folder
        Image.fromarray(drawing(number, width=160, height=128)).save(place / f"{number}.png")
    return folder


def data_settings(pictures: Path, folder: Path, **changes: object) -> DataSettings:
    """Settings of twelve patches of 96 px, one validation picture among five."""
    values = {"patches": 12, "side": 96, "sizes": (1.0, 0.75), "degradations": {"clean": 1.0, "light": 1.0}}
    return DataSettings(pictures=str(pictures), folder=str(folder), **{**values, **changes})


@pytest.fixture(scope="session")
def prepared(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Patches:
    """Patches that no test writes to."""
    return prepare(data_settings(pictures, tmp_path_factory.mktemp("patches")))


def run_settings(patches: Patches, folder: Path, **changes: object) -> Settings:
    """Settings of a run of sixteen steps on one thread; changes go to sections by ``section__name``."""
    values: dict[str, dict[str, object]] = {
        "data": {"folder": str(patches.folder), "side": 96},
        "teacher": {},
        "network": {"num_feat": 8, "num_conv": 1},
        "losses": {},
        "train": {
            "folder": str(folder), "steps": 16, "batch": 2, "crop": 16, "margin": 2, "lr": 2e-3, "warmup": 2,
            "threads": 1, "device": "cpu", "log_every": 4, "checkpoint_every": 6, "sheet_every": 16,
        },
    }  # fmt: skip
    for key, value in changes.items():
        section, _, name = key.partition("__")
        values[section][name] = value
    return Settings(
        name="tiny",
        data=DataSettings(**values["data"]),
        teacher=TeacherSettings(**values["teacher"]),
        network=NetworkSettings(**values["network"]),
        losses=LossSettings(**values["losses"]),
        train=TrainSettings(**values["train"]),
    )


@pytest.fixture
def trainer(prepared: Patches, tmp_path: Path) -> Callable[..., Trainer]:
    """Trainers of one folder, each as a new process would build it."""

    def build(teacher: NDArray[np.uint8] | None = None, folder: str = "run", **changes: object) -> Trainer:
        settings = run_settings(prepared, tmp_path / folder, **changes)
        compute = Compute.pick(settings.train.device, settings.train.dtype, settings.train.threads)
        return Trainer(settings, prepared, teacher, compute)

    return build


def weights_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Every tensor that the next step depends on, by name."""
    found = {}
    for name, part in trainer.state.parts().items():
        if isinstance(part, torch.nn.Module):
            found |= {f"{name}.{key}": value.clone() for key, value in part.state_dict().items()}
        else:
            for number, kept in part.state_dict()["state"].items():
                found |= {f"{name}.{number}.{key}": torch.as_tensor(value).clone() for key, value in kept.items()}
    return found
