"""Seeded networks and goldens for the tests of the library."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

SeededWeights = Callable[[str], dict[str, NDArray[Any]]]


@pytest.fixture(scope="session")
def seeded(shared: Path) -> ModuleType:
    """The formula of the goldens' weights, imported from beside them."""
    spec = importlib.util.spec_from_file_location("seeded", shared / "goldens" / "seeded.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def layouts(shared: Path) -> dict[str, dict[str, Any]]:
    """Key to shape of every official checkpoint, with arguments and digests."""
    document: dict[str, dict[str, Any]] = json.loads((shared / "goldens" / "layouts.json").read_text())
    return document


@pytest.fixture(scope="session")
def seeded_weights(seeded: ModuleType, layouts: dict[str, dict[str, Any]]) -> SeededWeights:
    """Seeded weights by official name, each checked against its digest before use."""
    made: dict[str, dict[str, NDArray[Any]]] = {}

    def make(name: str) -> dict[str, NDArray[Any]]:
        if name not in made:
            row = layouts[name]
            shapes = {key.removeprefix("module."): shape for key, shape in row["keys"].items()}
            weights: dict[str, NDArray[np.float32]] = seeded.make(row["recipe"], row["salt"], shapes)
            assert seeded.digest(weights) == row["seeded_sha256"], name
            made[name] = weights
        return made[name]

    return make
