"""The upsampler against what the official RealESRGANer computes for seeded weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.checkpoints.state_dicts import interpolate, load_network
from models.decoding import DecodeLimits, decode_here
from models.engine.device import Engine
from models.engine.model import make_upsampler
from models.engine.tiling import Placement
from models.engine.upsampler import Tiling, Upsampler
from models.picture import Picture
from models.pixels import Pixels
from models.registry import find_model
from models.resize import result_size

OVERLAP = 10  # every golden was made with tile_pad 10
FLOAT32 = Engine(torch.device("cpu"), torch.float32, "the goldens are float32")
SHARE_OFF_8_BIT = 0.001

Upsamplers = Callable[[str], Upsampler]


@dataclass(frozen=True)
class Golden:
    """One recorded call of RealESRGANer.enhance."""

    file: str
    model: str
    input: str
    tile: int
    pre_pad: int
    outscale: float | None

    @property
    def is_16_bit(self) -> bool:
        return "16" in self.input


def goldens(folder: Path) -> list[Golden]:
    rows = json.loads((folder / "index.json").read_text())
    return [
        Golden(row["file"], row["model"], row["input"], row["tile"], row["pre_pad"], row["outscale"]) for row in rows
    ]


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "goldens" / "pipelines"


@pytest.fixture(scope="module")
def upsamplers(seeded_weights: Callable[[str], dict[str, NDArray[Any]]]) -> Upsamplers:
    made: dict[str, Upsampler] = {}

    def state(name: str) -> dict[str, torch.Tensor]:
        return {key: torch.from_numpy(value) for key, value in seeded_weights(name).items()}

    def make(name: str) -> Upsampler:
        if name not in made:
            if name.startswith("dni:"):
                pair = state("realesr-general-x4v3"), state("realesr-general-wdn-x4v3")
                network = load_network(
                    find_model("realesr-general-x4v3"), interpolate(*pair, float(name.removeprefix("dni:")))
                )
            else:
                network = load_network(find_model(name), state(name))
            made[name] = make_upsampler(network, FLOAT32)
        return made[name]

    return make


def read(path: Path) -> Picture:
    return decode_here(path.read_bytes(), DecodeLimits())


def as_the_reference_does(
    upsampler: Upsampler, plane: Pixels, golden: Golden, *, placement: Placement = "clipped"
) -> Pixels:
    """RealESRGANer pads at the right and bottom only, cuts windows off at the border, and resizes rounded levels."""
    height, width = plane.shape[:2]
    padded = np.pad(plane, [(0, golden.pre_pad)] * 2 + [(0, 0)] * (plane.ndim - 2), mode="reflect")
    tiling = Tiling(tile=golden.tile, overlap=OVERLAP, placement=placement)
    sr = upsampler(padded, tiling)[: height * upsampler.scale, : width * upsampler.scale]
    size_wh = result_size((width, height), golden.outscale or upsampler.scale)
    return sr if size_wh == sr.shape[1::-1] else cv2.resize(sr, size_wh, interpolation=cv2.INTER_LANCZOS4)


def off(ours: Pixels, theirs: Pixels) -> tuple[int, float]:
    """Largest difference in levels, and the share of samples that differ."""
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    difference = np.abs(ours.astype(np.int64) - theirs.astype(np.int64))
    return int(difference.max()), float((difference > 0).mean())


def agrees(ours: Pixels, theirs: Pixels, *, is_16_bit: bool) -> bool:
    largest, share = off(ours, theirs)
    return largest <= 2 if is_16_bit else largest <= 1 and share <= SHARE_OFF_8_BIT


@pytest.fixture
def nothing_is_spoiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeded weights make patterns that have nothing to do with the picture, which is what the checks look for."""
    monkeypatch.setattr("models.engine.upsampler.verdict", lambda _numbers: None)


@pytest.mark.usefixtures("nothing_is_spoiled")
def test_every_golden_is_met_plane_by_plane(folder: Path, upsamplers: Upsamplers) -> None:
    """All 58 of them, with windows placed as the reference places them.

    The alpha ones too, because colours and alpha are given to the upsampler apart, as the reference does;
    what the restorer does differently on purpose is in test_restorer.py.
    """
    disagreeing = {}
    for golden in goldens(folder):
        theirs, lq, upsampler = (
            read(folder / golden.file),
            read(folder / "inputs" / golden.input),
            upsamplers(golden.model),
        )
        planes = [(lq.pixels, theirs.pixels), (lq.alpha, theirs.alpha)]
        for plane, expected in planes:
            if plane is None or expected is None:
                continue
            ours = as_the_reference_does(upsampler, plane, golden)
            if not agrees(ours, expected, is_16_bit=golden.is_16_bit):
                disagreeing[golden.file] = off(ours, expected)
    assert disagreeing == {}
