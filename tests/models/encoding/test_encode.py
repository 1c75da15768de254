from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from models.encoding import Attempt, attempts, encode, natural_format
from models.errors import ResultTooLarge
from models.picture import Picture, decode
from tests.models.toys import noise, opened, pixels_of

JPEG: dict[str, Any] = {"format": "JPEG", "lossless": False}


def test_png_gives_back_every_sample_of_every_kind() -> None:
    for dtype in (np.uint8, np.uint16):
        for pixels in (noise(5, 7, dtype=dtype), noise(5, 7, 3, dtype=dtype)):
            for alpha in (None, noise(5, 7, seed=1, dtype=dtype)):
                encoded = encode(Picture(pixels=pixels, alpha=alpha), "png")
                decoded = cv2.imdecode(np.frombuffer(encoded.data, np.uint8), cv2.IMREAD_UNCHANGED)
                assert decoded.dtype == dtype
                colours = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
                if alpha is not None:
                    np.testing.assert_array_equal(decoded[..., 3], alpha)
                elif pixels.ndim == 2:
                    decoded = decoded[..., None].repeat(3, axis=2)
                np.testing.assert_array_equal(decoded[..., 2::-1], colours)
                assert (encoded.mime, encoded.extension, encoded.notices) == ("image/png", "png", ())


def test_lossless_and_transparent_and_deep_pictures_stay_png_and_photos_stay_jpeg() -> None:
    rgb, gray = noise(4, 4, 3), noise(4, 4)
    assert natural_format(Picture(pixels=rgb, **JPEG)) == "jpeg"
    assert natural_format(Picture(pixels=rgb, alpha=gray, **JPEG)) == "png"
    assert natural_format(Picture(pixels=noise(4, 4, 3, dtype=np.uint16), **JPEG)) == "png"
    assert natural_format(Picture(pixels=rgb)) == "png"


def test_jpeg_keeps_colours_in_full_resolution() -> None:
    encoded = encode(Picture(pixels=noise(16, 16, 3), **JPEG))
    image = opened(encoded.data)
    assert (image.format, encoded.extension, encoded.mime) == ("JPEG", "jpg", "image/jpeg")
    assert {(h, v) for _, h, v, _ in image.layer} == {(1, 1)}  # type: ignore[attr-defined]


def test_transparency_over_jpeg_becomes_white_paper_and_is_said() -> None:
    red = np.zeros((16, 16, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    encoded = encode(Picture(pixels=red, alpha=np.zeros((16, 16), np.uint8)), "jpeg")
    assert pixels_of(encoded.data).min() >= 254
    assert encoded.notices == ("alpha_flattened",)


def test_16_bits_over_jpeg_are_rounded_and_it_is_said() -> None:
    levels = np.full((16, 16), 128 * 257 + 100, np.uint16)
    encoded = encode(Picture(pixels=levels), "jpeg")
    assert (pixels_of(encoded.data) == 128).all()
    assert encoded.notices == ("depth_reduced",)


def test_webp_keeps_transparency() -> None:
    alpha = np.kron(noise(2, 2), np.ones((8, 8), np.uint8))
    encoded = encode(Picture(pixels=noise(16, 16, 3), alpha=alpha), "webp")
    np.testing.assert_array_equal(pixels_of(encoded.data)[..., 3], alpha)
    assert encoded.mime == "image/webp"


def test_a_png_that_is_too_large_becomes_the_best_jpeg_that_fits_and_says_so() -> None:
    picture = Picture(pixels=noise(128, 128, 3))
    png_size = len(encode(picture).data)
    encoded = encode(picture, max_bytes=png_size - 1)
    assert (encoded.format, encoded.notices) == ("jpeg", ("format_changed",))
    smaller = encode(picture, max_bytes=len(encoded.data) - 1)
    assert smaller.notices == ("format_changed", "quality_reduced")
    assert len(smaller.data) < len(encoded.data)


def test_a_transparent_png_that_is_too_large_becomes_webp() -> None:
    picture = Picture(pixels=noise(128, 128, 3), alpha=np.full((128, 128), 100, np.uint8))
    encoded = encode(picture, max_bytes=len(encode(picture).data) - 1)
    assert (encoded.format, encoded.notices[0]) == ("webp", "format_changed")
    assert pixels_of(encoded.data).shape[2] == 4


def test_a_format_that_was_asked_for_is_never_changed() -> None:
    with pytest.raises(ResultTooLarge, match=r"128x128 takes .* bytes at the least, the limit is 1,000"):
        encode(Picture(pixels=noise(128, 128, 3)), "png", max_bytes=1000)
    assert {attempt.format for attempt in attempts(Picture(pixels=noise(4, 4)), (4, 4), "webp", limited=True)} == {
        "webp"
    }


def test_sides_no_format_asked_for_can_hold_are_known_before_any_work() -> None:
    picture = Picture(pixels=noise(4, 4, 3), **JPEG)
    assert list(attempts(picture, (16_384, 10), "webp", limited=False)) == []
    assert list(attempts(picture, (65_501, 10), "jpeg", limited=False)) == []
    assert list(attempts(picture, (65_501, 10), "auto", limited=False)) == [Attempt("png", notices=("format_changed",))]


@pytest.mark.parametrize("wanted", ["png", "jpeg", "webp"])
def test_description_goes_on_and_nothing_else(wanted: Any) -> None:
    picture = Picture(
        pixels=noise(8, 8, 3), tagged=True, dpi=(300.0, 150.0), taken="2024:05:06 07:08:09", lossless=True
    )
    encoded = encode(picture, wanted)
    again = decode(encoded.data, max_pixels=100, max_bytes=100_000)
    assert again.taken == "2024:05:06 07:08:09"
    assert wanted == "webp" or tuple(map(round, again.dpi or ())) == (300, 150)
    image = opened(encoded.data)
    assert set(image.getexif()) <= {0x8769}
    if wanted == "png":
        assert image.info["srgb"] == 0
    else:
        name = ImageCms.getProfileDescription(
            ImageCms.ImageCmsProfile(__import__("io").BytesIO(image.info["icc_profile"]))
        )
        assert "sRGB" in name


def test_a_profile_that_was_kept_is_written() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Picture(pixels=noise(4, 4, 3, dtype=np.uint16), profile=profile)
    assert opened(encode(picture).data).info["icc_profile"] == profile


def test_a_bare_picture_stays_bare() -> None:
    image: Image.Image = opened(encode(Picture(pixels=noise(4, 4, 3))).data)
    assert set(image.info) == set()
