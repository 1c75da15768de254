from __future__ import annotations

import io
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.encoding import jpeg
from models.encoding.description import Description
from models.encoding.jpeg import write_jpeg
from models.picture import Picture
from models.pixels import Pixels
from tests.models.encoding.containers import jpeg_segments
from tests.models.toys import noise, opened, pixels_of

SOF0, DRI = 0xC0, 0xDD


def whole(pixels: Pixels, quality: int) -> bytes:
    """What one encoder that sees the whole picture makes: Pillow's."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:4:4")
    return file.getvalue()


def smooth(height: int, width: int, *channels: int) -> Pixels:
    """Blurred noise, of which every block has another mean, so that a wrong DC prediction shows."""
    return np.asarray(cv2.GaussianBlur(noise(height, width, *channels), (0, 0), 2), np.uint8)


def assert_like_one_encoder(pixels: Pixels, quality: int) -> bytes:
    ours, reference = write_jpeg(Picture(pixels=pixels), quality, Description(), 1), whole(pixels, quality)
    jpeg_segments(ours)
    assert opened(ours).quantization == opened(reference).quantization  # type: ignore[attr-defined]
    np.testing.assert_array_equal(pixels_of(ours), pixels_of(reference))
    flags = cv2.IMREAD_UNCHANGED
    decoded = [cv2.imdecode(np.frombuffer(data, np.uint8), flags) for data in (ours, reference)]
    np.testing.assert_array_equal(*decoded)
    return ours


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 700), (700, 1), (8, 8), (33, 17), (500, 1001), (1999, 640)])
@pytest.mark.parametrize("quality", [95, 70])
def test_strips_decode_to_what_one_encoder_of_the_whole_gives(height, width, channels, quality):
    assert_like_one_encoder(smooth(height, width, *channels), quality)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    gray=st.booleans(),
    quality=st.integers(1, 100),
    strip_bytes=st.sampled_from([1, 2_000, 9_000]),
)
def test_no_size_of_strips_changes_a_pixel(height, width, gray, quality, strip_bytes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jpeg, "STRIP_BYTES", strip_bytes)
        data = assert_like_one_encoder(smooth(height, width, *(() if gray else (3,))), quality)
    segments, intervals = jpeg_segments(data)
    strip_rows = 8 * max(1, strip_bytes // (8 * width * (1 if gray else 3)))
    assert len(intervals) == -(-height // strip_rows)
    declared = [struct.unpack(">H", body)[0] for marker, body in segments if marker == DRI]
    assert declared == ([strip_rows // 8 * -(-width // 8)] if len(intervals) > 1 else [])


def test_restart_markers_count_on_after_the_eighth():
    _, intervals = jpeg_segments(assert_like_one_encoder(smooth(2_100, 3_000, 3), 95))  # looks at the numbers
    assert len(intervals) == 21  # of 13 rows of blocks, which are just less than 1,000,000 bytes


def test_the_widest_jpeg_has_intervals_that_its_header_can_count():
    data = assert_like_one_encoder(smooth(100, 65_500), 95)
    segments, intervals = jpeg_segments(data)
    assert [body for marker, body in segments if marker == DRI] == [struct.pack(">H", 8188)]
    assert len(intervals) == 13


def test_the_header_is_of_one_baseline_jpeg_with_all_colours_in_full_resolution():
    segments, _ = jpeg_segments(write_jpeg(Picture(pixels=smooth(900, 700, 3)), 95, Description(), 1))
    markers = [marker for marker, _ in segments]
    assert (markers[0], markers[-2:]) == (0xE0, [DRI, 0xDA])
    assert markers.count(SOF0) == 1
    assert not {0xC1, 0xC2, 0xE2} & set(markers)
    body = dict(segments)[SOF0]
    assert struct.unpack(">BHHB", body[:6]) == (8, 900, 700, 3)
    assert body[7::3] == b"\x11\x11\x11"


@pytest.mark.parametrize("pixels", [smooth(700, 900), smooth(700, 900, 3)])
def test_threads_change_no_byte(pixels):
    one, many = (write_jpeg(Picture(pixels=pixels), 90, Description(), threads) for threads in (1, 5))
    assert one == many


def test_a_profile_of_many_pieces_is_put_together_again():
    profile = noise(1, 200_000).tobytes()
    image = opened(write_jpeg(Picture(pixels=smooth(9, 9, 3)), 95, Description(profile=profile), 1))
    assert image.info["icc_profile"] == profile


def test_16_bits_and_transparency_are_reduced_strip_by_strip_as_they_would_be_at_once():
    pixels, alpha = noise(900, 400, 3, dtype=np.uint16), noise(900, 400, seed=1, dtype=np.uint16)
    opacity = np.rint(alpha / 257)[..., None]
    white = np.floor((np.rint(pixels / 257) * opacity + 255 * (255 - opacity) + 127) / 255).astype(np.uint8)
    deep = write_jpeg(Picture(pixels=pixels, alpha=alpha), 95, Description(), 1)
    assert deep == write_jpeg(Picture(pixels=white), 95, Description(), 1)
