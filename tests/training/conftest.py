"""Small runs: drawings instead of photographs, patches of 96 px, networks of 8 channels."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from training.drawings import drawing
from training.patches import Patches, prepare
from training.settings import DataSettings

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
    values = {"patches": 12, "side": 96, "shrink": (1.0, 0.75), "degradations": {"clean": 1.0, "light": 1.0}}
    return DataSettings(pictures=str(pictures), folder=str(folder), **{**values, **changes})


@pytest.fixture(scope="session")
def prepared(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Patches:
    """Patches that no test writes to."""
    return prepare(data_settings(pictures, tmp_path_factory.mktemp("patches")))
