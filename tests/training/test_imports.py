"""The product does not know how its network was made."""

from __future__ import annotations

import pytest

from tests.test_imports import imported_by, loaded_by


@pytest.mark.parametrize("package", ["bot", "tasks", "models", "emulator", "dev"])
def test_no_part_of_the_product_imports_training(package):
    assert [path for path, names in imported_by(package).items() if "training" in names] == []


def test_training_imports_the_library_alone():
    forbidden = {"bot", "tasks", "emulator", "dev", "celery", "redis", "aiogram", "torchvision", "scipy", "basicsr"}
    assert {path: names & forbidden for path, names in imported_by("training").items() if names & forbidden} == {}


@pytest.mark.parametrize("module", ["training", "training.settings", "training.patches", "training.gallery"])
def test_what_only_touches_pictures_loads_no_torch(module):
    assert "torch" not in loaded_by(module)
