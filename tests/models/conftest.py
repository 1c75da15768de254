"""Seeded networks and goldens for the tests of the library."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.checkpoints.architecture import Architecture
from models.checkpoints.state_dicts import build_network
from models.decoding import Decoder
from models.registry import MODELS, Mirror, ModelSpec
from models.weights.file import pin_of
from tests.models.file_server import FileServer

KEPT_BYTES = 200_000_000  # of one model's weights; those of larger ones are made anew rather than kept for all tests

SeededWeights = Callable[[str], dict[str, NDArray[Any]]]


class SharedDecoder(Decoder):
    """Outlives the restorers that use it."""

    def close(self) -> None:
        """Nothing yet; :meth:`end` does it."""

    def end(self) -> None:
        super().close()


@pytest.fixture(scope="package", autouse=True)
def one_decoder() -> Iterator[None]:
    """One decoding process for all restorers: starting one takes longer than most pictures of these tests."""
    decoder = SharedDecoder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.restorer.Decoder", lambda: decoder)
        yield
    decoder.end()


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
        if name in made:
            return made[name]
        row = layouts[name]
        shapes = {key.removeprefix("module."): shape for key, shape in row["keys"].items()}
        weights: dict[str, NDArray[np.float32]] = seeded.make(row["recipe"], row["salt"], shapes)
        assert seeded.digest(weights) == row["seeded_sha256"], name
        if sum(array.nbytes for array in weights.values()) < KEPT_BYTES:
            made[name] = weights
        return weights

    return make


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def tiny() -> tuple[Architecture, dict[str, torch.Tensor]]:
    """The smallest network there is, with weights."""
    torch.manual_seed(7)
    arguments = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 4, "num_conv": 1, "upscale": 2, "act_type": "prelu"}
    architecture = Architecture(name="SRVGGNetCompact", arguments=arguments)
    return architecture, build_network(architecture).state_dict()


TinyModel = Callable[..., ModelSpec]


@pytest.fixture
def tiny_model(
    tmp_path: Path,
    file_server: FileServer,
    tiny: tuple[Architecture, dict[str, torch.Tensor]],
    monkeypatch: pytest.MonkeyPatch,
) -> TinyModel:
    """Registers the tiny network as an official model whose file the local server has."""
    architecture, state = tiny
    torch.save({"params": state}, tmp_path / "tiny.pth")
    content = (tmp_path / "tiny.pth").read_bytes()
    file_server.files["tiny.pth"] = content

    def register(*mirrors: Mirror, url: str | None = None) -> ModelSpec:
        spec = ModelSpec(
            name="tiny",
            file="tiny.pth",
            url=url or f"{file_server.url}/tiny.pth",
            pin=pin_of(tmp_path / "tiny.pth"),
            mirrors=mirrors,
            architecture=architecture,
            purpose="tests",
        )
        monkeypatch.setitem(MODELS, "tiny", spec)
        return spec

    return register
