from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.checkpoints.state_dicts import load_network, load_state_dict
from models.colour_lock import lock_colours
from models.engine.model import make_upsampler
from models.engine.upsampler import Tiling, Upsampler
from models.registry import find_model
from tests.models.toys import FLOAT32, noise

Array = NDArray[Any]


@pytest.fixture(scope="module")
def compact(shared: Path) -> Upsampler:
    return compact_network(shared)


def compact_network(shared: Path) -> Upsampler:
    state = load_state_dict(shared / "weights" / "realesr-animevideov3.pth")
    return make_upsampler(load_network(find_model("realesr-animevideov3"), state), FLOAT32)


def scene(height: int, width: int, *channels: int, seed: int = 0, dtype: type = np.uint8, spare: int = 40) -> Array:
    """Soft shapes with edges and some texture, ``spare`` levels of 8 bits away from black and white."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 1, (max(2, height // 16), max(2, width // 16), *channels)).astype(np.float32)
    soft = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, *channels)
    edges = np.where(soft > 0.5, 0.8 * soft + 0.2, 0.6 * soft) + rng.normal(0, 0.02, soft.shape)
    top = int(np.iinfo(dtype).max)
    return np.rint((spare + np.clip(edges, 0, 1) * (255 - 2 * spare)) / 255 * top).astype(dtype)


def enlarged(lq: Array, height: int, width: int) -> Array:
    return np.asarray(cv2.resize(lq, (width, height), interpolation=cv2.INTER_NEAREST))


def drifted(sr: Array, *, levels: float) -> Array:
    """As a network may do it: a shade that comes and goes slowly, differently in each channel."""
    top = float(np.iinfo(sr.dtype).max)
    down, across = (np.linspace(0, 1, side) for side in sr.shape[:2])
    wave = np.cos(2.5 * down)[:, None] * np.sin(3 + 4 * across)
    shades = (0.6 + 0.4 * wave)[..., None] * np.array([1.0, -0.7, 0.4])
    shade = shades if sr.ndim == 3 else shades[..., 0]
    return np.asarray(np.clip(np.rint(sr + levels * top / 255 * shade), 0, top), sr.dtype)


def block_means(pixels: Array, rows: int, columns: int) -> Array:
    """(rows, columns, channels) in levels of 8 bits: every pixel weighed by what of it lies in the block."""
    height, width = pixels.shape[:2]
    planes = pixels.reshape(height, width, -1) * (255 / np.iinfo(pixels.dtype).max)
    return np.einsum("rh,hwc,bw->rbc", shares(height, rows), planes, shares(width, columns), optimize=True)


def shares(side: int, count: int) -> Array:
    """(count, side): rows sum to one; pixels on the edge between two blocks belong to both in part."""
    edges = np.linspace(0, side, count + 1)
    pixel = np.arange(side)
    covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.asarray(np.clip(covered, 0, 1) * count / side)


def worst_drift(sr: Array, lq: Array, rows: int = 1, columns: int = 1) -> float:
    return float(np.abs(block_means(sr, rows, columns) - block_means(lq, rows, columns)).max())


SIZES = [(128, 176, 512, 704), (130, 171, 260, 342), (150, 128, 150, 128), (131, 160, 441, 539), (280, 340, 200, 243)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize(("height", "width", "sr_height", "sr_width"), SIZES)
def test_every_sixteenth_of_the_picture_gets_its_colour_back(
    height: int, width: int, sr_height: int, sr_width: int, channels: tuple[int, ...], dtype: type
) -> None:
    lq = scene(height, width, *channels, dtype=dtype)
    sr = drifted(enlarged(lq, sr_height, sr_width), levels=9)
    blocks = (16, round(16 * width / height))
    assert worst_drift(sr, lq, *blocks) > 5
    lock_colours(sr, lq)
    assert (sr.shape, sr.dtype) == ((sr_height, sr_width, *channels), dtype)
    assert worst_drift(sr, lq) < 0.1
    assert worst_drift(sr, lq, *blocks) < 0.5


@pytest.mark.parametrize("name", ["set5/baby.png", "set14/pepper.png", "set14/bridge.png"])
def test_a_real_network_drifts_and_is_brought_back(shared: Path, compact: Upsampler, name: str) -> None:
    with Image.open(shared / "images" / "eval" / name) as image:
        gt = np.asarray(image)[:512, :512]
    lq = np.asarray(cv2.resize(gt, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA))
    sr = compact(lq, Tiling(tile=0, overlap=0, border=10))
    error = np.square(sr.astype(float) - gt).mean()
    assert worst_drift(sr, lq) > 0.5
    assert worst_drift(sr, lq, 16, 16) > 3
    lock_colours(sr, lq)
    assert worst_drift(sr, lq) < 0.1
    drift = np.abs(block_means(sr, 16, 16) - block_means(lq, 16, 16))
    assert (drift < 0.5).mean() > 0.99  # of the rest black or white has swallowed something
    assert np.square(sr.astype(float) - gt).mean() < error


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (5, 2), (8, 8), (16, 13), (3, 500)])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_smallest_pictures_get_their_mean_colour_back(height: int, width: int, scale: int) -> None:
    lq = scene(height, width, 3)
    sr = drifted(enlarged(lq, height * scale, width * scale), levels=6)
    lock_colours(sr, lq)
    assert worst_drift(sr, lq) < 0.5


def test_a_result_much_smaller_than_the_input_is_locked_too() -> None:
    lq = scene(300, 400, 3)
    sr = drifted(np.asarray(cv2.resize(lq, (5, 3), interpolation=cv2.INTER_AREA)), levels=9)
    lock_colours(sr, lq)
    assert worst_drift(sr, lq) < 0.5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("height", "width", "scale"), [(1, 1, 4), (37, 61, 4), (150, 140, 3), (140, 131, 1)])
def test_a_result_that_follows_its_input_is_left_alone(height: int, width: int, scale: int, dtype: type) -> None:
    lq = noise(height, width, 3, dtype=dtype)
    sr = enlarged(lq, height * scale, width * scale)
    before = sr.copy()
    lock_colours(sr, lq)
    np.testing.assert_array_equal(sr, before)


@pytest.mark.parametrize("level", [0, 3, 128, 255])
def test_a_flat_picture_comes_out_flat_and_in_its_own_colour(level: int) -> None:
    lq = np.full((140, 133, 3), (level, 255 - level, 77), np.uint8)
    sr = np.clip(enlarged(lq, 471, 448) + np.array([5, -3, 2]), 0, 255).astype(np.uint8)
    lock_colours(sr, lq)
    assert (sr == lq[0, 0]).all()


def test_detail_keeps_its_shape() -> None:
    """What is taken off is smooth: between neighbours it differs by a level of rounding, whatever the edges are."""
    lq = scene(160, 160)
    sr = drifted(enlarged(lq, 640, 640), levels=8)
    before = sr.astype(int)
    lock_colours(sr, lq)
    change = sr - before
    assert np.abs(change).max() >= 6
    assert max(np.abs(np.diff(change, axis=axis)).max() for axis in (0, 1)) <= 1


def test_the_grid_of_the_rounding_cannot_be_seen_where_nothing_has_to_change() -> None:
    lq = np.full((256, 256), 100, np.uint8)
    lq[:, 128:] = 180
    sr = enlarged(lq, 1024, 1024)
    sr[:, 512:] += 4
    lock_colours(sr, lq)
    assert (sr[:, :384] == 100).all()
    assert (sr[:, 640:] == 180).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_colourless_input_makes_a_colourless_result(dtype: type) -> None:
    gray = scene(140, 150, dtype=dtype)
    lq = np.repeat(gray[..., None], 3, axis=2)
    sr = drifted(enlarged(lq, 560, 600), levels=7)
    assert (sr[..., 0] != sr[..., 1]).any()
    lock_colours(sr, lq)
    np.testing.assert_array_equal(sr[..., 0], sr[..., 1])
    np.testing.assert_array_equal(sr[..., 0], sr[..., 2])
    assert worst_drift(sr, lq, 16, 17) < 0.5


def test_one_coloured_pixel_keeps_a_picture_in_colour() -> None:
    lq = np.full((140, 150, 3), 90, np.uint8)
    lq[77, 31] = (200, 20, 60)
    sr = enlarged(lq, 280, 300)
    before = sr.copy()
    lock_colours(sr, lq)
    np.testing.assert_array_equal(sr, before)


def test_what_white_swallows_is_made_up_for_by_the_rest_once() -> None:
    lq = scene(128, 128, spare=60)
    lq[noise(128, 128) < 64] = 255
    sr = np.where(enlarged(lq, 512, 512) == 255, 255, enlarged(lq, 512, 512) - 8).astype(np.uint8)
    swallowed = 1 / 4
    drift = worst_drift(sr, lq)
    lock_colours(sr, lq)
    assert worst_drift(sr, lq) < drift * swallowed / 2
    assert worst_drift(sr, lq) == pytest.approx(drift * swallowed**2, abs=0.2)


def test_the_number_of_threads_changes_no_byte() -> None:
    lq = scene(130, 170, 3)
    alone = drifted(enlarged(lq, 520, 680), levels=9)
    together = alone.copy()
    lock_colours(alone, lq, threads=1)
    lock_colours(together, lq, threads=4)
    np.testing.assert_array_equal(alone, together)


def test_a_result_that_could_only_be_copied_is_refused_rather_than_ignored() -> None:
    lq = scene(40, 50, 3)
    sr = enlarged(lq, 80, 100)[:, ::-1]
    with pytest.raises(ValueError, match="copy"):
        lock_colours(sr, lq)


def test_memory_is_needed_for_strips_only() -> None:
    lq = scene(240, 320, 3)
    sr = drifted(enlarged(lq, 1920, 2560), levels=9)
    tracemalloc.start()
    lock_colours(sr, lq)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < sr.nbytes / 3
