from __future__ import annotations

import io
from collections import Counter
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageCms

from models.decoding import DecodeLimits, decode_here
from models.encoding import attempts, encode, encoder, fits_some_format, natural_format
from models.encoding.description import srgb_profile
from models.encoding.strips import sample
from models.errors import OptionsError, ResultTooLarge
from models.picture import Picture
from tests.models.encoding.containers import jpeg_segments, png_chunks
from tests.models.toys import noise, opened, pixels_of

JPEG: dict[str, Any] = {"format": "JPEG", "lossless": False}


def grainy(height: int, width: int, *channels: int, seed: int = 0) -> Any:
    """Something between noise and a photo: large areas and grain."""
    coarse = cv2.resize(noise(height // 16 + 1, width // 16 + 1, *channels, seed=seed), (width, height))
    return cv2.addWeighted(coarse, 0.8, noise(height, width, *channels, seed=seed + 1), 0.2, 0)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many pixels each format's encoder was given."""
    pixels: Counter[str] = Counter()

    def counting(name: str, write: Any) -> Any:
        def count(picture: Picture, *rest: Any) -> bytes:
            pixels[name] += picture.size_wh[0] * picture.size_wh[1]
            data: bytes = write(picture, *rest)
            return data

        return count

    for name in ("png", "jpeg", "webp"):
        monkeypatch.setattr(encoder, f"write_{name}", counting(name, getattr(encoder, f"write_{name}")))
    return pixels


def test_transparent_and_deep_pictures_and_drawings_are_png_and_photos_jpeg() -> None:
    rgb, gray = noise(4, 4, 3), noise(4, 4)
    deep = noise(4, 4, 3, dtype=np.uint16)
    for kind in ("photo", "drawing", "text", "anything", None):
        assert natural_format(Picture(pixels=rgb, alpha=gray, **JPEG), kind) == "png"
        assert natural_format(Picture(pixels=deep, **JPEG), kind) == "png"
    for lossless in (True, False):
        picture = Picture(pixels=rgb, lossless=lossless)
        assert natural_format(picture, "drawing") == natural_format(picture, "text") == "png"
        assert natural_format(picture, "photo") == "jpeg"
        assert encode(picture, kind="photo").format == "jpeg"


def test_a_picture_nobody_looked_at_keeps_what_its_file_kept() -> None:
    assert natural_format(Picture(pixels=noise(4, 4, 3), **JPEG)) == "jpeg"
    assert natural_format(Picture(pixels=noise(4, 4, 3))) == "png"


@pytest.mark.parametrize("wanted", ["png", "jpeg", "webp"])
def test_what_was_asked_for_is_what_comes_whatever_the_picture_shows(wanted: Any) -> None:
    for kind in ("photo", "drawing", None):
        encoded = encode(Picture(pixels=noise(9, 7, 3)), wanted, kind=kind)
        assert opened(encoded.data).format == wanted.upper()
        assert (encoded.format, encoded.size_wh, encoded.notices) == (wanted, (7, 9), ())
        assert encoded.quality == (None if wanted == "png" else 95)
    assert encode(Picture(pixels=noise(9, 7)), "jpeg").extension == "jpg"
    assert encode(Picture(pixels=noise(9, 7)), "jpeg").mime == "image/jpeg"


def test_transparency_over_jpeg_becomes_white_paper_and_is_said() -> None:
    red = np.zeros((16, 16, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    encoded = encode(Picture(pixels=red, alpha=np.zeros((16, 16), np.uint8)), "jpeg")
    assert pixels_of(encoded.data).min() >= 254
    assert encoded.notices == ("alpha_flattened",)


@pytest.mark.parametrize("wanted", ["jpeg", "webp"])
def test_16_bits_in_8_are_rounded_and_it_is_said(wanted: Any) -> None:
    levels = np.full((16, 16), 128 * 257 + 100, np.uint16)
    encoded = encode(Picture(pixels=levels), wanted)
    assert (pixels_of(encoded.data) == 128).all()
    assert encoded.notices == ("depth_reduced",)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_webp_keeps_transparency(dtype: Any) -> None:
    alpha = np.kron(noise(2, 2), np.ones((8, 8), np.uint8)).astype(dtype)
    scaled = alpha * dtype(257 if dtype == np.uint16 else 1)
    encoded = encode(Picture(pixels=noise(16, 16, 3, dtype=dtype), alpha=scaled), "webp")
    np.testing.assert_array_equal(pixels_of(encoded.data)[..., 3], alpha)


def test_a_png_that_is_too_large_becomes_the_best_jpeg_that_fits_and_says_so() -> None:
    picture = Picture(pixels=noise(128, 128, 3))
    encoded = encode(picture, max_bytes=len(encode(picture).data) - 1)
    assert (encoded.format, encoded.quality, encoded.notices) == ("jpeg", 95, ("format_changed",))
    smaller = encode(picture, max_bytes=len(encoded.data) - 1)
    assert (smaller.quality, smaller.notices) == (90, ("format_changed", "quality_reduced"))


def test_a_transparent_png_that_is_too_large_becomes_webp() -> None:
    picture = Picture(pixels=noise(128, 128, 3), alpha=np.full((128, 128), 100, np.uint8))
    encoded = encode(picture, max_bytes=len(encode(picture).data) - 1)
    assert (encoded.format, encoded.notices[0]) == ("webp", "format_changed")
    assert pixels_of(encoded.data).shape[2] == 4


@pytest.mark.parametrize("side", [120, 1300])
def test_every_rung_of_the_ladder_is_the_first_that_fits(side: int) -> None:
    picture = Picture(pixels=grainy(side, side, 3), **JPEG)
    rungs = [(95, 1.0), (90, 1.0), (85, 1.0), (80, 1.0), (70, 1.0), (70, 0.8409), (70, 0.7071), (70, 0.5946), (70, 0.5)]
    limit = 10**9
    for quality, scale in rungs:
        encoded = encode(picture, max_bytes=limit)
        assert (encoded.quality, encoded.size_wh) == (quality, (round(side * scale),) * 2)
        said = [quality < 95 and "quality_reduced", scale < 1 and "scale_reduced"]
        assert encoded.notices == tuple(filter(None, said))
        assert len(encoded.data) <= limit
        assert opened(encoded.data).size == encoded.size_wh
        limit = len(encoded.data) - 1
    with pytest.raises(ResultTooLarge, match=rf"the result of {side}x{side} takes [\d,]+ bytes .* limit is {limit:,}"):
        encode(picture, max_bytes=limit)


@pytest.mark.parametrize("lossless", [True, False])
def test_estimates_skip_no_way_that_fits_and_spare_whole_encodings(written: Counter[str], lossless: bool) -> None:
    picture = Picture(pixels=grainy(2000, 1800, 3), lossless=lossless)
    ways = list(attempts(picture, picture.size_wh, "auto", limited=True))
    writer = encoder._Writer(picture, None, 1)
    sizes = [len(writer.write(way).data) for way in ways]
    for share in (0.95, 0.7, 0.5, 0.3, 0.15, 0.1):
        limit = round(max(sizes) * share)
        best = next(way for way, size in zip(ways, sizes, strict=True) if size <= limit)
        written.clear()
        encoded = encode(picture, max_bytes=limit)
        assert (encoded.format, encoded.quality, encoded.size_wh) == (best.format, best.quality, best.size_wh)
        # Up to eleven samples of a third each: below 16 megapixels a sample is a million pixels.
        assert written.total() <= 3 * 3_600_000 + 11 * 1_030_000


@pytest.mark.parametrize("share", [0.9, 0.6, 0.3, 0.2])
def test_a_large_picture_is_written_three_times_at_most(written: Counter[str], share: float) -> None:
    picture = Picture(pixels=grainy(2500, 3000, 3), **JPEG)
    whole = len(encode(picture).data)
    written.clear()
    encode(picture, max_bytes=round(whole * share))
    assert written.total() <= 3 * 7_500_000


@pytest.mark.parametrize("wanted", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_picture_that_may_not_be_written_to_or_lies_backwards_in_memory_is_fine(wanted: Any, channels: Any) -> None:
    straight = grainy(50, 41, *channels)
    backwards = np.flip(np.flip(straight, (0, 1)).copy(), (0, 1))
    backwards.flags.writeable = False
    expected = encode(Picture(pixels=straight), wanted)
    assert encode(Picture(pixels=backwards), wanted) == expected
    limit = round(len(expected.data) * 0.7)
    assert encode(Picture(pixels=backwards), wanted, max_bytes=limit).data == (
        encode(Picture(pixels=straight), wanted, max_bytes=limit).data
    )


def test_a_png_that_is_hopelessly_large_is_not_even_tried(written: Counter[str]) -> None:
    picture = Picture(pixels=noise(2500, 3000, 3))
    assert encode(picture, max_bytes=13_000_000).format == "jpeg"
    assert written["png"] < 7_500_000 / 5


def test_a_format_that_was_asked_for_is_never_changed_but_may_shrink() -> None:
    picture = Picture(pixels=noise(128, 128, 3))
    encoded = encode(picture, "png", max_bytes=30_000)
    assert (encoded.format, encoded.size_wh, encoded.notices) == ("png", (91, 91), ("scale_reduced",))
    with pytest.raises(ResultTooLarge, match=r"128x128 takes .* bytes at the least, the limit is 1,000"):
        encode(picture, "png", max_bytes=1000)
    assert {attempt.format for attempt in attempts(picture, (4, 4), "webp", limited=True)} == {"webp"}


def test_what_is_transparent_keeps_its_colour_out_of_a_smaller_result() -> None:
    alpha = np.zeros((64, 64), np.uint8)
    alpha[:, :31] = 255
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :31], pixels[:, 31:] = (200, 100, 50), (0, 255, 0)  # green is hidden
    half = encoder.resized(Picture(pixels=pixels, alpha=alpha), (32, 32))
    assert half.alpha is not None
    np.testing.assert_allclose(half.pixels[half.alpha > 0], np.tile((200, 100, 50), (16 * 32, 1)), atol=1)


@settings(max_examples=150, deadline=None)
@given(
    width=st.integers(1, 60),
    height=st.integers(1, 60),
    gray=st.booleans(),
    see_through=st.booleans(),
    deep=st.booleans(),
    wanted=st.sampled_from(["auto", "png", "jpeg", "webp"]),
    kind=st.sampled_from([None, "photo", "drawing", "text"]),
    max_bytes=st.none() | st.integers(1, 20_000),
)
def test_a_result_is_within_the_limit_and_says_all_that_it_lost_or_there_is_none(
    width: int, height: int, gray: bool, see_through: bool, deep: bool, wanted: Any, kind: Any, max_bytes: Any
) -> None:
    dtype = np.uint16 if deep else np.uint8
    pixels = noise(height, width, *(() if gray else (3,)), dtype=dtype)
    picture = Picture(pixels=pixels, alpha=noise(height, width, seed=1, dtype=dtype) if see_through else None)
    try:
        encoded = encode(picture, wanted, kind=kind, max_bytes=max_bytes)
    except ResultTooLarge:
        assert max_bytes is not None
        return
    image = opened(encoded.data)
    assert max_bytes is None or len(encoded.data) <= max_bytes
    assert (image.format, image.size) == (encoded.format.upper(), encoded.size_wh)
    natural = natural_format(picture, kind) if wanted == "auto" else wanted
    assert set(encoded.notices) == {
        notice
        for notice, lost in {
            "format_changed": encoded.format != natural,
            "quality_reduced": encoded.quality is not None and encoded.quality < 95,
            "scale_reduced": encoded.size_wh != (width, height),
            "depth_reduced": deep and encoded.format != "png",
            "alpha_flattened": see_through and encoded.format == "jpeg",
        }.items()
        if lost
    }


def test_sides_no_format_asked_for_can_hold_are_known_before_any_work() -> None:
    picture = Picture(pixels=noise(4, 4, 3), **JPEG)
    assert not fits_some_format(picture, (16_384, 10), "webp")
    assert not fits_some_format(picture, (10, 65_501), "jpeg")
    assert not fits_some_format(picture, (1_000_001, 10), "auto")
    assert fits_some_format(picture, (65_501, 10), "auto")
    assert list(attempts(picture, (16_384, 10), "webp", limited=True)) == []


def test_a_photo_too_wide_for_jpeg_is_png_and_within_a_limit_a_smaller_jpeg() -> None:
    picture = Picture(pixels=noise(20, 65_501, 3), **JPEG)
    encoded = encode(picture, kind="photo")
    assert (encoded.format, encoded.notices) == ("png", ("format_changed",))
    smaller = encode(picture, kind="photo", max_bytes=1_500_000)
    assert (smaller.format, smaller.notices) == ("jpeg", ("quality_reduced", "scale_reduced"))
    assert smaller.size_wh == (55_080, 17)


def test_a_sample_is_a_sixteenth_in_bands_from_all_over() -> None:
    rows = np.repeat(np.arange(4000, dtype=np.uint16)[:, None], 4500, axis=1)
    part = sample(Picture(pixels=rows, alpha=rows)).pixels
    assert part.shape == (256, 4500)
    bands = part[:, 0].reshape(-1, 16).astype(int)
    assert (np.diff(bands) == 1).all()
    assert set(np.diff(bands[:, 0])) == {250}
    small = Picture(pixels=rows[:200])
    assert sample(small) is small


def test_the_result_does_not_depend_on_threads() -> None:
    picture = Picture(pixels=grainy(700, 500, 3), alpha=grainy(700, 500, seed=5))
    for max_bytes in (None, 300_000, 80_000):
        one, four = (encode(picture, max_bytes=max_bytes, recipe={"a": 1}, threads=threads) for threads in (1, 4))
        assert one == four
    with pytest.raises(OptionsError, match="threads must be 1 or more, not 0"):
        encode(picture, threads=0)


@pytest.mark.parametrize("wanted", ["png", "jpeg", "webp"])
def test_description_goes_on_and_nothing_else(wanted: Any) -> None:
    picture = Picture(
        pixels=noise(8, 8, 3), tagged=True, dpi=(300.0, 150.0), taken="2024:05:06 07:08:09", lossless=True
    )
    encoded = encode(picture, wanted)
    again = decode_here(encoded.data, DecodeLimits())
    assert again.taken == "2024:05:06 07:08:09"
    assert wanted == "webp" or tuple(map(round, again.dpi or ())) == (300, 150)
    image = opened(encoded.data)
    if wanted == "webp":  # which knows resolution only from EXIF
        assert {tag: value for tag, value in image.getexif().items() if tag != 0x8769} == {282: 300, 283: 150, 296: 2}
    else:
        assert set(image.getexif()) == {0x8769}
    if wanted == "png":
        assert image.info["srgb"] == 0
    else:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_the_profile_of_srgb_is_the_same_on_another_day(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = srgb_profile()
    assert profile[24:36] == bytes((7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))
    fresh = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    fresh[24:36] = profile[24:36]
    assert fresh == profile


def test_a_profile_that_was_kept_is_written_in_every_format() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Picture(pixels=noise(4, 4, 3, dtype=np.uint16), profile=profile)
    for wanted in ("png", "jpeg", "webp"):
        assert opened(encode(picture, wanted).data).info["icc_profile"] == profile


@pytest.mark.parametrize("wanted", ["png", "jpeg", "webp"])
def test_a_profile_that_no_jpeg_could_hold_is_left_out_and_it_is_said(wanted: Any) -> None:
    encoded = encode(Picture(pixels=noise(4, 4, 3), profile=bytes(255 * 65_519 + 1)), wanted)
    assert encoded.notices == ("profile_ignored",)
    assert "icc_profile" not in opened(encoded.data).info


@pytest.mark.parametrize("wanted", ["png", "jpeg", "webp"])
def test_a_bare_picture_stays_bare(wanted: Any) -> None:
    data = encode(Picture(pixels=noise(4, 4, 3)), wanted).data
    assert not {"exif", "xmp", "icc_profile", "dpi", "comment"} & set(opened(data).info)
    if wanted == "png":
        assert [kind for kind, _ in png_chunks(data)] == [b"IHDR", b"IDAT", b"IEND"]
    elif wanted == "jpeg":
        assert {marker for marker, _ in jpeg_segments(data)[0]} == {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}
