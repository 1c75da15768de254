"""A picture cut into slabs of columns, and made of another size on its way, is the whole picture made of that size."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from models.engine.model import hidden_overlap
from models.engine.tiling import shifted_spans
from models.engine.upsampler import Canvas, Tiling, reflect
from models.resize import LEAST_FOR_LANCZOS, result_size
from tests.models.toys import Dense, compact, noise, upsampler_of

WHOLE = Tiling(tile=0, overlap=0)
OUTSCALES = (0.1, 0.3, 0.5, 1, 1.5, 2.37, 4, 5)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "compact x4": compact,
    "compact x1": lambda: compact(1),
    "dense x2": lambda: Dense(2),
}


def covered(network: nn.Module) -> int:
    """Overlap that covers the whole receptive field of one of the small networks."""
    return hidden_overlap(network)


def opencv(sr: NDArray[np.float32], size_wh: tuple[int, int]) -> NDArray[np.float32]:
    """Resized along one axis, as the library decides about each."""
    ratio = min(size_wh[0] / sr.shape[1], size_wh[1] / sr.shape[0])
    how = cv2.INTER_AREA if ratio < LEAST_FOR_LANCZOS else cv2.INTER_LANCZOS4
    return sr if ratio == 1 and size_wh == sr.shape[1::-1] else np.asarray(cv2.resize(sr, size_wh, interpolation=how))


@torch.inference_mode()
def whole_and_then_resized(
    network: nn.Module, lq: NDArray[np.uint8], outscale: float, border: int
) -> NDArray[np.uint8]:
    """One pass of the bare network over the bordered picture, and OpenCV in floating point."""
    height, width = lq.shape[:2]
    padded = torch.from_numpy(reflect(lq, border, align=network.unshuffle)).permute(2, 0, 1).unsqueeze(0).float() / 255
    scale = network.scale
    sr = network(padded)[0].permute(1, 2, 0).clamp(0, 1).numpy()
    sr = np.ascontiguousarray(sr[border * scale :, border * scale :][: height * scale, : width * scale])
    new_width, new_height = result_size((width, height), outscale)
    sr = opencv(opencv(sr, (new_width, sr.shape[0])), (new_width, new_height))
    return np.clip(np.rint(sr * 255), 0, 255).astype(np.uint8)


def worst(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> int:
    assert ours.shape == theirs.shape
    return int(np.abs(ours.astype(int) - theirs).max())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("outscale", OUTSCALES)
@pytest.mark.parametrize("tile", [0, 24, 64])
def test_slabs_of_any_width_make_the_size_asked_for_of_the_whole(name: str, outscale: float, tile: int) -> None:
    network, lq = NETWORKS[name](), noise(41, 150, 3)
    tiling = Tiling(tile=tile, overlap=covered(network), rows=16, border=10)
    ours = upsampler_of(network)(lq, tiling, size_wh=result_size((150, 41), outscale))
    assert worst(ours, whole_and_then_resized(network, lq, outscale, 10)) <= 1


@given(
    height=st.integers(1, 50),
    width=st.integers(1, 160),
    tile=st.integers(0, 70),
    rows=st.integers(0, 60),
    border=st.sampled_from([0, 1, 10]),
    outscale=st.sampled_from(OUTSCALES),
    name=st.sampled_from(sorted(NETWORKS)),
)
@settings(deadline=None, max_examples=60)
def test_so_they_do_at_every_size(
    height: int, width: int, tile: int, rows: int, border: int, outscale: float, name: str
) -> None:
    network, lq = NETWORKS[name](), noise(height, width, 3)
    tiling = Tiling(tile=tile, overlap=covered(network), rows=rows, border=border)
    ours = upsampler_of(network)(lq, tiling, size_wh=result_size((width, height), outscale))
    assert worst(ours, whole_and_then_resized(network, lq, outscale, border)) <= 1


@pytest.mark.parametrize("outscale", OUTSCALES)
@pytest.mark.parametrize("overlap", [0, 1, 3])
def test_an_overlap_too_small_for_the_resampling_still_puts_every_pixel_in_its_place(
    outscale: float, overlap: int
) -> None:
    network = compact()
    smooth = np.asarray(cv2.resize(noise(6, 20, 3), (150, 41), interpolation=cv2.INTER_LINEAR), np.uint8)
    ours = upsampler_of(network)(
        smooth, Tiling(tile=32, overlap=overlap, rows=16), size_wh=result_size((150, 41), outscale)
    )
    whole = whole_and_then_resized(network, smooth, outscale, 0)
    assert ours.shape == whole.shape
    assert np.abs(ours.astype(int) - whole).mean() < 3  # the seams may show, the picture may not move


def test_without_overlap_the_seams_show_so_the_law_above_can_fail() -> None:
    upsampler, lq = upsampler_of(compact()), noise(40, 150, 3)
    assert worst(upsampler(lq, Tiling(tile=32, overlap=0)), upsampler(lq, WHOLE)) > 3


@given(
    width=st.integers(1, 400),
    tile=st.integers(1, 90),
    overlap=st.integers(0, 30),
    scale=st.sampled_from([1, 2, 4]),
    outscale=st.floats(0.01, 6),
)
@settings(deadline=None)
def test_every_column_belongs_to_exactly_one_slab(
    width: int, tile: int, overlap: int, scale: int, outscale: float
) -> None:
    canvas = Canvas(np.zeros((1, width), np.uint8), scale, result_size((width, 1), outscale))
    times_made = np.zeros(canvas.hw[1], int)
    for span in shifted_spans(width, tile, overlap, 1):
        times_made[slice(*canvas.columns_of(span.core_start * scale, span.core_stop * scale))] += 1
    assert (times_made == 1).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("outscale", [1.5, 4])
def test_a_gray_picture_comes_back_gray_in_its_depth(dtype: type, outscale: float) -> None:
    lq, network = noise(30, 90, dtype=dtype), compact()
    tiling, size_wh = Tiling(tile=32, overlap=covered(network), rows=8), result_size((90, 30), outscale)
    gray, rgb = (upsampler_of(network)(seen, tiling, size_wh=size_wh) for seen in (lq, np.dstack([lq] * 3)))
    assert (gray.shape, gray.dtype) == (size_wh[::-1], dtype)
    weighed = rgb.astype(float) @ (0.299, 0.587, 0.114)
    # Ringing beyond black and white is cut off after weighing here, and in each channel there.
    inside = (rgb > 0).all(axis=2) & (rgb < np.iinfo(dtype).max).all(axis=2)
    assert np.abs(gray - weighed)[inside].max() <= 1.01
    assert inside.mean() > 0.8


def test_the_input_is_left_untouched() -> None:
    lq = noise(20, 90, 3)
    before = lq.copy()
    upsampler_of(compact())(lq, Tiling(tile=32, overlap=6, rows=8, border=10), size_wh=(100, 30))
    np.testing.assert_array_equal(lq, before)


def test_what_the_network_will_see_is_counted_with_overlap_and_border() -> None:
    seen: list[int] = []
    network = Dense(2)
    fold = network.fold
    network.fold = lambda lq: (seen.append(lq.shape[2] * lq.shape[3]), fold(lq))[1]  # type: ignore[method-assign]
    upsampler, tiling = upsampler_of(network), Tiling(tile=40, overlap=10, rows=16, border=10)
    seen.clear()
    upsampler(noise(51, 177, 3), tiling)
    assert upsampler.windows_pixels(51, 177, tiling) == sum(seen)
