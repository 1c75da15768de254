from __future__ import annotations

import gc
import itertools
import threading
import time
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from models import (
    OptionsError,
    OutOfMemory,
    RestorationStopped,
    RestoreOptions,
    Restorer,
    ResultTooLarge,
    SpoiledTile,
    WeightsMissing,
)
from models.archs import SRVGGNetCompact
from models.options import OutputFormat
from tests.models.toys import (
    BFLOAT16,
    Conv3x3,
    Does,
    Nearest,
    compact,
    noise,
    opened,
    pixels_of,
    png,
    restorer_of,
    saved,
)

STAGES = ("decode", "plan", "upscale", "colours", "faces", "encode")
LOSSLESS = RestoreOptions(output_format="png")


@pytest.fixture(scope="module")
def nearest() -> Restorer:
    return restorer_of(Nearest(scale=2))


@given(height=st.integers(1, 40), width=st.integers(1, 40), kind=st.sampled_from(["gray", "rgb", "rgba"]))
@settings(deadline=None, max_examples=60)
def test_every_size_and_kind_comes_back_larger_pixel_for_pixel(
    nearest: Restorer, height: int, width: int, kind: str
) -> None:
    pixels = noise(height, width, *{"gray": [], "rgb": [3], "rgba": [4]}[kind])
    if kind == "rgba":
        pixels[pixels[..., 3] == 0] = 0  # what cannot be seen is not kept
    restored = nearest.restore(png(pixels), LOSSLESS)
    np.testing.assert_array_equal(pixels_of(restored.data), pixels.repeat(2, 0).repeat(2, 1))
    assert (restored.size_in_wh, restored.size_out_wh) == ((width, height), (2 * width, 2 * height))


def test_what_is_returned_describes_what_was_done() -> None:
    restored = restorer_of(Nearest(scale=4)).restore(saved(Image.fromarray(noise(8, 6, 3)), "JPEG"))
    assert (restored.extension, restored.mime) == ("jpg", "image/jpeg")
    assert (restored.model, restored.device, restored.dtype, restored.notices) == ("toy", "cpu", "float32", ())
    assert set(restored.seconds) == {*STAGES, "total"}
    assert restored.seconds["total"] >= sum(restored.seconds[stage] for stage in STAGES)
    assert (restored.recipe["seconds"], restored.recipe["model"]) == (restored.seconds["total"], "toy")
    assert "toy" in restored.choice
    assert opened(restored.data).size == restored.size_out_wh == (24, 32)
    assert "data" not in repr(restored)


@pytest.mark.parametrize(
    ("outscale", "size"),
    [(None, (20, 14)), (1, (10, 7)), (3.5, (35, 24)), (0.26, (2, 1)), (0.01, (1, 1)), (1.25, (12, 8))],
)
def test_any_outscale_gives_the_size_asked_for(
    nearest: Restorer, outscale: float | None, size: tuple[int, int]
) -> None:
    restored = nearest.restore(png(noise(7, 10, 3)), RestoreOptions(outscale=outscale))
    assert opened(restored.data).size == restored.size_out_wh == size


def test_a_strong_reduction_averages_instead_of_picking_pixels(nearest: Restorer) -> None:
    checkers = (np.indices((128, 128)).sum(0) % 2 * 255).astype(np.uint8)
    restored = nearest.restore(png(checkers), RestoreOptions(outscale=1 / 8))
    assert np.abs(pixels_of(restored.data).astype(int) - 128).max() <= 1


def test_gray_16_bit_comes_back_gray_16_bit(nearest: Restorer) -> None:
    gray = noise(9, 9, dtype=np.uint16)
    done, data = cv2.imencode(".png", gray)
    assert done
    result = cv2.imdecode(np.frombuffer(nearest.restore(data.tobytes()).data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert result.dtype == np.uint16
    assert np.abs(result.astype(int) - gray.repeat(2, 0).repeat(2, 1)).max() <= 1


def test_a_dark_16_bit_picture_stays_16_bit(nearest: Restorer) -> None:
    # RealESRGANer looks at the largest value instead of the depth, and would return 8 bits.
    done, data = cv2.imencode(".png", np.full((5, 5, 3), 200, np.uint16))
    assert done
    result = cv2.imdecode(np.frombuffer(nearest.restore(data.tobytes()).data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert result.dtype == np.uint16
    assert (result == 200).all()


def test_16_bits_are_computed_in_float32_even_where_photos_are_not() -> None:
    restorer = restorer_of(compact(), BFLOAT16)
    done, data = cv2.imencode(".png", noise(9, 9, 3, dtype=np.uint16))
    assert done
    deep, photo = restorer.restore(data.tobytes()), restorer.restore(png(noise(9, 9, 3)))
    assert (deep.dtype, photo.dtype) == ("float32", "bfloat16")
    assert deep.data == restorer_of(compact()).restore(data.tobytes()).data


def disc_on_hidden(hidden: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A red disc; its surroundings are transparent and hold a colour nobody should see."""
    rows, columns = np.indices((48, 48))
    distance = np.hypot(rows - 23.5, columns - 23.5)
    alpha = np.clip((18 - distance) * 255, 0, 255).astype(np.uint8)
    rgba = np.empty((48, 48, 4), np.uint8)
    rgba[..., :3] = np.where(alpha[..., None] > 0, (200, 30, 30), hidden)
    rgba[..., 3] = alpha
    return rgba


def test_hidden_colours_do_not_leak_into_the_rim() -> None:
    restorer = restorer_of(compact())
    files = (restorer.restore(png(disc_on_hidden(colour))).data for colour in ((0, 255, 0), (255, 0, 255)))
    np.testing.assert_array_equal(*map(pixels_of, files))


@pytest.mark.parametrize("outscale", [4, 3.3, 2, 0.5])
def test_what_is_fully_transparent_stays_so_and_what_is_opaque_too(outscale: float) -> None:
    data = png(disc_on_hidden((0, 255, 0)))
    restored = pixels_of(restorer_of(compact()).restore(data, RestoreOptions(outscale=outscale)).data)
    side = len(restored)
    assert (restored[: side // 16, :, 3] == 0).all()
    assert (restored[side // 2 - 2 : side // 2 + 2, side // 2 - 2 : side // 2 + 2, 3] == 255).all()
    assert (restored[restored[..., 3] == 0] == 0).all()


def test_an_alpha_that_hides_nothing_costs_no_second_run() -> None:
    seen = itertools.count()

    def count(lq: Tensor) -> Tensor:
        next(seen)
        return lq

    restorer, pixels = restorer_of(Does(count)), noise(9, 9, 4)
    pixels[..., 3] = 255
    before = next(seen)
    restored = restorer.restore(png(pixels))
    assert next(seen) == before + 2  # one forward between the two counts
    np.testing.assert_array_equal(pixels_of(restored.data), pixels.repeat(2, 0).repeat(2, 1))


def test_a_fully_transparent_picture_has_nothing_to_say(nearest: Restorer) -> None:
    restored = pixels_of(nearest.restore(png(noise(9, 9, 4) * np.array([1, 1, 1, 0], np.uint8))).data)
    assert restored.shape == (18, 18, 4)
    assert not restored.any()


def test_progress_rises_from_the_calling_thread_and_ends_at_one() -> None:
    calls: list[tuple[float, int]] = []
    restorer = restorer_of(Conv3x3(convolutions=5))
    restorer.restore(
        png(noise(40, 40, 4)),
        RestoreOptions(tile=16, overlap=2),
        on_progress=lambda fraction: calls.append((fraction, threading.get_ident())),
    )
    fractions = [fraction for fraction, _ in calls]
    assert {thread for _, thread in calls} == {threading.get_ident()}
    assert fractions == sorted(set(fractions))
    assert (fractions[0], fractions[-1]) == (0, 1)
    assert max(np.diff(fractions)) < 0.1


def test_a_stop_takes_well_under_a_second_within_a_tile_of_seconds() -> None:
    torch.manual_seed(0)
    restorer = restorer_of(SRVGGNetCompact(num_feat=64, num_conv=60, upscale=2))
    stop = threading.Event()
    asked = threading.Timer(0.5, stop.set)
    asked.start()
    with pytest.raises(RestorationStopped):
        restorer.restore(png(noise(640, 640, 3)), RestoreOptions(tile=0), should_stop=stop.is_set)
    asked.join()
    stop.clear()
    start = time.perf_counter()
    restorer.restore(png(noise(8, 8, 3)), should_stop=stop.is_set)  # usable at once
    assert time.perf_counter() - start < 5


def test_after_a_stop_nothing_of_the_picture_is_kept() -> None:
    held: list[weakref.ref[Tensor]] = []

    def remember(lq: Tensor) -> Tensor:
        held.append(weakref.ref(lq))
        return lq

    class Remembers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.unshuffle, self.inner = 2, 1, Conv3x3(convolutions=3)

        def forward(self, lq: Tensor) -> Tensor:
            return self.inner(remember(lq))  # type: ignore[no-any-return]

    restorer, questions = restorer_of(Remembers()), itertools.count()
    with pytest.raises(RestorationStopped):
        restorer.restore(png(noise(30, 30, 3)), should_stop=lambda: next(questions) == 2)
    gc.collect()
    assert [ref() for ref in held] == [None] * len(held)


def test_the_same_bytes_give_the_same_bytes() -> None:
    data, options = png(noise(50, 70, 4)), RestoreOptions(tile=24, overlap=4, outscale=3)
    restorer = restorer_of(compact())
    assert restorer.restore(data, options).data == restorer.restore(data, options).data


def test_a_spoiled_tile_fails_the_picture() -> None:
    network = compact()
    restorer = restorer_of(network)
    network.body[0].weight.data.fill_(float("nan"))  # type: ignore[union-attr]
    with pytest.raises(SpoiledTile):
        restorer.restore(png(noise(20, 20, 3)))


def test_out_of_memory_is_tried_again_with_smaller_tiles() -> None:
    widths: list[int] = []

    def small_only(lq: Tensor) -> Tensor:
        widths.append(lq.shape[-1])
        if lq.shape[-1] > 130:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return lq

    pixels, fractions = noise(300, 300, 3), list[float]()
    restored = restorer_of(Does(small_only)).restore(png(pixels), LOSSLESS, on_progress=fractions.append)
    np.testing.assert_array_equal(pixels_of(restored.data), pixels.repeat(2, 0).repeat(2, 1))
    assert max(widths) > 130 >= widths[-1]
    assert fractions == sorted(set(fractions))


def test_out_of_memory_with_the_smallest_tile_is_the_end() -> None:
    def never(lq: Tensor) -> Tensor:
        if lq.shape[-1] > 60 and lq.shape[-1] != 96:  # not the probe, not the calibration
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return lq

    with pytest.raises(OutOfMemory):
        restorer_of(Does(never)).restore(png(noise(300, 300, 3)))


def test_what_would_become_too_large_is_refused_with_numbers_before_any_work() -> None:
    seen = itertools.count()

    def count(lq: Tensor) -> Tensor:
        next(seen)
        return lq

    restorer, data = restorer_of(Does(count, scale=4)), png(noise(100, 100, 3))
    before = next(seen)
    for options, message in [
        (RestoreOptions(outscale=4, max_output_pixels=159_999), r"100x100 .* 160,000 pixels, the limit is 159,999"),
        (RestoreOptions(max_output_pixels=9_999), "10,000 pixels, the limit is 9,999"),  # not even cleaned
        (
            RestoreOptions(outscale=200, output_format="webp"),
            r"a side of 20,000 px, the limit is 16,383; ×\d+\.\d would keep to it",
        ),
    ]:
        with pytest.raises(ResultTooLarge, match=message):
            restorer.restore(data, options)
    assert next(seen) == before + 1


def test_of_a_large_result_nobody_asked_for_less_is_made_and_said() -> None:
    restored = restorer_of(Nearest(scale=4)).restore(png(noise(100, 100, 3)), RestoreOptions(max_output_pixels=159_999))
    assert (restored.size_out_wh, restored.notices) == ((200, 200), ("scale_limited",))


@pytest.mark.parametrize(("format_", "width"), [("webp", 9_000), ("png", 18_000)])
def test_a_picture_grows_no_further_than_the_format_asked_for_can_hold(format_: OutputFormat, width: int) -> None:
    data = png(noise(2, 9_000, 3))
    restored = restorer_of(Nearest(scale=2)).restore(data, RestoreOptions(output_format=format_, border=0))
    assert restored.size_out_wh[0] == width
    assert ("×2 would have a side of 18,000 px and the limit is 16,383" in restored.choice) == (format_ == "webp")
    assert ("cleaned_only" in restored.notices) == (format_ == "webp")


@pytest.mark.parametrize(
    "options",
    [
        {"outscale": 0},
        {"outscale": -2},
        {"outscale": float("nan")},
        {"outscale": float("inf")},
        {"tile": -1},
        {"tile": 100_000},
        {"overlap": -1},
        {"border": -1},
        {"max_output_bytes": 0},
        {"max_input_pixels": 0},
        {"max_seconds": 0},
        {"output_format": "tiff"},
        {"placement": "anywhere"},
    ],
)
def test_an_option_out_of_range_is_named_with_its_value(options: dict[str, object]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(OptionsError, match=f"{name} .*{value}"):
        RestoreOptions(**options)  # type: ignore[arg-type]


def test_opening_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="weights fetch RealESRGAN_x4plus"):
        Restorer.open("RealESRGAN_x4plus", weights_dir=tmp_path)
    with pytest.raises(OptionsError, match="RealESRGAN_x4plus"):
        Restorer.open("RealESRGAN_x4pluss", weights_dir=tmp_path)
    with pytest.raises(OptionsError, match=r"threads .* not 0"):
        Restorer.open("RealESRGAN_x4plus", weights_dir=tmp_path, threads=0)
