"""Nonsense is told from pictures in every band of rows; nothing that a real network makes is taken for nonsense."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models import RestorationError
from models.checkpoints.state_dicts import load_network, load_state_dict
from models.decoding import DecodeLimits, decode_here
from models.engine.checks import statistics, verdict
from models.engine.upsampler import Tiling, Upsampler
from models.planes import Planes
from models.registry import SHIPPED_MODEL, find_model
from models.weights import DEFAULT_FOLDER
from tests.models.patterns import patterns
from tests.models.toys import noise, upsampler_of

SCALE = 2
BAND = 16
SIDE = 96


def scene() -> Tensor:
    """(3, 96, 96) in [0, 1]: no two bands alike, brightness and colours varied, some grain."""
    coarse = torch.from_numpy(noise(5, 5, 3).astype(np.float32)).permute(2, 0, 1).unsqueeze(0) / 255
    smooth = functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic", align_corners=False)[0]
    return (smooth + 0.02 * torch.randn(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


def enlarged(lq: Tensor) -> Tensor:
    return functional.interpolate(lq.unsqueeze(0), scale_factor=SCALE, mode="bicubic", align_corners=False)[0]


def bands() -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of the scene and of the result, from top to bottom."""
    lq = scene()
    sr = enlarged(lq)
    for top in range(0, SIDE, BAND):
        yield lq[:, top : top + BAND], sr[:, top * SCALE : (top + BAND) * SCALE]


def judge(sr: Tensor, lq: Tensor) -> str | None:
    return verdict(statistics(sr, lq))


def one_pixel(value: float) -> Callable[[Tensor], Tensor]:
    def spoil(sr: Tensor) -> Tensor:
        sr = sr.clone()
        sr[1, 5, 7] = value
        return sr

    return spoil


def test_what_a_network_should_make_is_never_called_spoiled() -> None:
    assert [judge(sr, lq) for lq, sr in bands()] == [None] * (SIDE // BAND)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (one_pixel(float("nan")), "no numbers"),
        (one_pixel(float("inf")), "no numbers"),
        (one_pixel(-float("inf")), "no numbers"),
        (torch.zeros_like, "black"),
        (lambda sr: sr * 0.1, "black"),
        (lambda sr: sr - 5, "black"),
        (torch.ones_like, "one colour"),
        (lambda sr: torch.full_like(sr, 0.5), "one colour"),
        (lambda sr: sr.mean(dim=(1, 2), keepdim=True).expand_as(sr), "one colour"),
        (lambda sr: 0.5 + 0.1 * (sr - 0.5), "one colour"),
        (lambda sr: 1 - sr, "another picture"),
        (lambda sr: sr.flip(2), "another picture"),
        (lambda sr: torch.rand(sr.shape, generator=torch.Generator().manual_seed(1)), None),
    ],
)
def test_nonsense_is_found_in_any_band(spoil: Callable[[Tensor], Tensor], complaint: str | None) -> None:
    found = [judge(spoil(sr), lq) for lq, sr in bands()]
    assert None not in found
    assert complaint is None or set(found) == {complaint}


def test_rows_of_a_distant_place_are_another_picture() -> None:
    everything = list(bands())
    for place, (lq, _) in enumerate(everything):
        others = [sr for other, (_, sr) in enumerate(everything) if abs(other - place) > 1]
        assert {judge(sr, lq) for sr in others} == {"another picture"}


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (120, 120, 120), (200, 30, 30), (3, 3, 3)])
def test_a_flat_picture_may_come_out_flat_but_only_in_its_colour(colour: tuple[int, int, int]) -> None:
    lq = torch.tensor(colour, dtype=torch.float32).div(255).view(3, 1, 1).expand(3, 20, 30)
    flat = enlarged(lq)
    assert judge(flat, lq) is None
    assert judge(1 - flat if max(colour) != 120 else flat + 0.3, lq) is not None


def test_black_is_no_surprise_where_the_picture_is_black() -> None:
    lq = scene() * 0.02
    assert judge(torch.zeros(3, SIDE * SCALE, SIDE * SCALE), lq) is None


def test_a_checkerboard_may_become_gray_but_not_black() -> None:
    """Networks have never seen one; what they make of it cannot be foretold, that something is made can."""
    lq = torch.from_numpy(np.indices((32, 32)).sum(0) % 2).float().expand(3, 32, 32)
    generator = torch.Generator().manual_seed(0)
    assert judge(0.5 + 0.01 * torch.randn(3, 64, 64, generator=generator), lq) is None
    assert judge(torch.zeros(3, 64, 64), lq) is not None


def test_one_row_says_how_rough_the_picture_is_only_with_those_around_it() -> None:
    lines = (torch.arange(24) % 2).float().view(1, 24, 1).expand(3, 24, 40)
    gray = torch.full((3, SCALE, 40 * SCALE), 0.6) + 0.01 * torch.rand(3, SCALE, 40 * SCALE)
    row = lines[:, 11:12]
    assert verdict(statistics(gray, row, lines[:, 3:20])) is None
    assert judge(gray, row) == "another picture"


@pytest.fixture(scope="module")
def video(shared: Path) -> Upsampler:
    state = load_state_dict(shared / "weights" / "realesr-animevideov3.pth")
    return upsampler_of(load_network(find_model("realesr-animevideov3"), state))


@pytest.fixture(scope="module")
def everyday() -> Upsampler:
    state = load_state_dict(DEFAULT_FOLDER / find_model(SHIPPED_MODEL).file)
    return upsampler_of(load_network(find_model(SHIPPED_MODEL), state))


ROWS = (1, 8, 40)  # at a time


@pytest.mark.parametrize("name", patterns(64))
@pytest.mark.parametrize("rows", ROWS)
def test_patterns_pass_in_bands_of_any_height(video: Upsampler, name: str, rows: int) -> None:
    video(patterns(64)[name], Tiling(tile=0, overlap=0, rows=rows, border=10))


@pytest.mark.parametrize("name", patterns(64))
def test_patterns_pass_the_everyday_network_too(everyday: Upsampler, name: str) -> None:
    everyday(patterns(64)[name], Tiling(tile=0, overlap=0, rows=8, border=10))


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 3), (9, 17)])
def test_the_smallest_pictures_pass(video: Upsampler, shape: tuple[int, int]) -> None:
    for pixels in (noise(*shape, 3), noise(*shape), noise(*shape) // 128 * 255, noise(*shape, dtype=np.uint16)):
        video(pixels, Tiling(tile=0, overlap=0, rows=1, border=10))


def planes_of(path: Path, side: int) -> Iterator[NDArray[np.generic]]:
    """The middle of a picture, colours and opacity."""
    planes = Planes.of(decode_here(path.read_bytes(), DecodeLimits(max_pixels=60_000_000, max_bytes=10**8)))
    for plane in (planes.colours, planes.opacity):
        if plane is not None:
            height, width = plane.shape[:2]
            top, left = max(0, height - side) // 2, max(0, width - side) // 2
            yield np.ascontiguousarray(plane[top : top + side, left : left + side])


@pytest.mark.parametrize("folder", ["eval/kodak", "eval/set5", "eval/set14", "photos", "faces", "stickers"])
def test_real_pictures_pass(shared: Path, video: Upsampler, folder: str) -> None:
    seen = 0
    for number, path in enumerate(sorted((shared / "images" / folder).iterdir())):
        try:
            planes = list(planes_of(path, 96))
        except RestorationError:
            continue
        for plane in planes:
            video(plane, Tiling(tile=0, overlap=0, rows=ROWS[number % 2 + 1], border=10))
            seen += 1
    assert seen >= 4
