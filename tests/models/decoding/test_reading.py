from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from models.decoding import DecodeLimits, decode_here
from models.decoding.canvas import turn
from models.errors import DamagedImage, ImageError, ImageTooLarge, UnsupportedFormat
from models.picture import Picture
from tests.models.toys import noise, png, saved

MEGABYTE = 1_000_000


def read(data: bytes, **limits: int) -> Picture:
    return decode_here(data, DecodeLimits(**{"max_pixels": MEGABYTE, "max_bytes": 10 * MEGABYTE, **limits}))


def png_16(pixels: NDArray[np.uint16]) -> bytes:
    """OpenCV's own channel order: BGR(A)."""
    done, data = cv2.imencode(".png", pixels)
    assert done
    return data.tobytes()


def raw_png(depth: int, colour: int, width: int, height: int, rows: bytes) -> bytes:
    """A PNG made by hand: 16-bit gray with alpha is something neither Pillow nor OpenCV writes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_lossless_colours_and_alpha_arrive_as_they_were() -> None:
    rgba = noise(7, 5, 4)
    for format_, how in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        picture = read(saved(Image.fromarray(rgba), format_, **how))
        np.testing.assert_array_equal(picture.pixels, rgba[..., :3])
        np.testing.assert_array_equal(picture.alpha, rgba[..., 3])
        assert (picture.format, picture.lossless, picture.size_wh) == (format_, True, (5, 7))


def test_lossy_files_are_known_as_such() -> None:
    image = Image.fromarray(noise(8, 8, 4))
    assert not read(saved(image.convert("RGB"), "JPEG")).lossless
    assert not read(saved(image, "WEBP", quality=80)).lossless


def test_gray_stays_one_channel() -> None:
    gray = noise(6, 4)
    picture = read(png(gray))
    assert picture.is_gray
    np.testing.assert_array_equal(picture.pixels, gray)


def test_gray_with_alpha_keeps_both() -> None:
    gray, alpha = noise(6, 4), noise(6, 4, seed=1)
    image = Image.merge("LA", (Image.fromarray(gray), Image.fromarray(alpha)))
    picture = read(saved(image, "PNG"))
    np.testing.assert_array_equal(picture.pixels, gray)
    np.testing.assert_array_equal(picture.alpha, alpha)


def test_a_palette_and_its_transparency_are_resolved() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    picture = read(saved(image, "PNG", transparency=1))
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.pixels[0, 0], [255, 0, 0])
    np.testing.assert_array_equal(picture.alpha, [[255, 0]])


def test_one_bit_pictures_are_black_and_white() -> None:
    picture = read(saved(Image.fromarray(np.array([[True, False]])), "PNG"))
    np.testing.assert_array_equal(picture.pixels, [[255, 0]])


@settings(deadline=None)  # shared machines
@given(darkest=st.integers(0, 255))
def test_16_bits_are_told_by_the_file_not_by_how_bright_it_is(darkest: int) -> None:
    # RealESRGANer takes a 16-bit picture without a value above 256 for an 8-bit one.
    picture = read(png_16(np.full((3, 4, 3), darkest, np.uint16)))
    assert picture.is_16_bit
    assert int(picture.pixels.max()) == darkest


def test_16_bit_colours_come_in_rgb_order_with_alpha() -> None:
    bgra = noise(5, 6, 4, dtype=np.uint16)
    picture = read(png_16(bgra))
    np.testing.assert_array_equal(picture.pixels, bgra[..., 2::-1])
    np.testing.assert_array_equal(picture.alpha, bgra[..., 3])


def test_16_bit_gray_stays_gray() -> None:
    gray = noise(5, 6, dtype=np.uint16)
    np.testing.assert_array_equal(read(png_16(gray)).pixels, gray)


def test_16_bit_gray_with_alpha_stays_gray() -> None:
    # Two pixels: gray 0x1234 with alpha 0xFFFF, gray 0xABCD with alpha 0x8000.
    data = raw_png(16, 4, 2, 1, b"\0" + struct.pack(">4H", 0x1234, 0xFFFF, 0xABCD, 0x8000))
    picture = read(data)
    np.testing.assert_array_equal(picture.pixels, [[0x1234, 0xABCD]])
    np.testing.assert_array_equal(picture.alpha, [[0xFFFF, 0x8000]])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["PNG", "WEBP", "JPEG", "16"])
def test_every_orientation_is_undone_once(orientation: int, format_: str) -> None:
    scene = np.kron(noise(3, 2, 3), np.ones((16, 16, 1), np.uint8))  # blocks survive JPEG
    exif = Image.Exif()
    exif[0x0112] = orientation
    if format_ == "16":
        wide = png_16(scene[..., ::-1].astype(np.uint16) * 257)
        body = exif.tobytes().removeprefix(b"Exif\0\0")
        chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
        data, scale = wide[:33] + chunk + wide[33:], 257
    else:
        how = {"quality": 100} if format_ == "JPEG" else {"lossless": True}
        data, scale = saved(Image.fromarray(scene), format_, exif=exif, **how), 1
    pillow = Image.open(io.BytesIO(saved(Image.fromarray(scene), "PNG", exif=exif)))
    upright = np.asarray(ImageOps.exif_transpose(pillow).convert("RGB")).astype(int)
    ours = read(data).pixels.astype(int) // scale
    assert ours.shape == upright.shape
    assert np.abs(ours - upright).mean() < (6 if format_ == "JPEG" else 0.001)


@pytest.mark.parametrize("orientation", [0, 9, 60000])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = noise(3, 5, 3)
    np.testing.assert_array_equal(read(png(pixels, exif=exif)).pixels, pixels)


@settings(deadline=None)  # shared machines
@given(orientation=st.integers(1, 8))
def test_turning_keeps_every_pixel(orientation: int) -> None:
    pixels = noise(4, 6)
    assert sorted(turn(pixels, orientation).ravel().tolist()) == sorted(pixels.ravel().tolist())


def lab_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def test_a_profile_that_does_not_fit_is_ignored_and_said_so() -> None:
    pixels = noise(4, 4, 3)
    for profile in (b"not a profile", lab_profile()):
        picture = read(png(pixels, icc_profile=profile))
        np.testing.assert_array_equal(picture.pixels, pixels)
        assert picture.notices == ("profile_ignored",)


def test_srgb_stays_as_it_is_and_is_remembered() -> None:
    pixels = noise(4, 4, 3)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = read(png(pixels, icc_profile=srgb))
    assert np.abs(picture.pixels.astype(int) - pixels).max() <= 1
    assert (picture.tagged, picture.profile, picture.notices) == (True, None, ())


def test_resolution_and_capture_date_are_kept_and_nothing_else_is() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
    exif[0x010F] = "Camera maker"
    picture = read(saved(Image.fromarray(noise(4, 4, 3)), "JPEG", exif=exif, dpi=(300, 150)))
    assert (picture.taken, picture.dpi) == ("2024:05:06 07:08:09", (300, 150))


@pytest.mark.parametrize("date", ["yesterday", "2024:05:06 07:08:0\u00e9", "<script>alert(1)</s", "9" * 500])
def test_a_capture_date_that_is_none_goes_nowhere(date: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = date
    assert read(saved(Image.fromarray(noise(4, 4, 3)), "JPEG", exif=exif)).taken is None


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("format_", "depth"),
    [("JPEG", np.uint8), ("PNG", np.uint8), ("PNG", np.uint16), ("TIFF", np.uint8), ("TIFF", np.uint16)],
)
def test_a_resolution_is_turned_with_its_picture(orientation: int, format_: str, depth: type) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read(saved(Image.fromarray(noise(4, 6, dtype=depth)), format_, exif=exif, dpi=(100, 200)))
    assert picture.size_wh == ((6, 4) if orientation <= 4 else (4, 6))
    assert picture.dpi == pytest.approx((100, 200) if orientation <= 4 else (200, 100), abs=0.1)


def test_the_first_frame_is_taken_and_said_so() -> None:
    first, second = Image.new("RGB", (4, 4), (200, 0, 0)), Image.new("RGB", (4, 4), (0, 200, 0))
    picture = read(saved(first, "GIF", save_all=True, append_images=[second]))
    assert picture.notices == ("first_frame_only",)
    np.testing.assert_array_equal(picture.pixels[0, 0], [200, 0, 0])


def test_limits_are_named_with_both_numbers() -> None:
    data = png(np.zeros((11, 10, 3), np.uint8))
    with pytest.raises(ImageTooLarge, match=r"110 pixels \(10x11\), the limit is 109"):
        read(data, max_pixels=109)
    with pytest.raises(ImageTooLarge, match=f"{len(data)} bytes, the limit is {len(data) - 1}"):
        read(data, max_bytes=len(data) - 1)
    with pytest.raises(ImageTooLarge, match="10x11, the limit is 10 pixels a side"):
        read(data, max_pixels=1000, max_bytes=10**6, max_side=10)
    assert read(data, max_pixels=110, max_bytes=len(data)).size_wh == (10, 11)


def test_a_limit_on_pixels_is_kept_before_they_are_decoded() -> None:
    # 400 million pixels in a header with nothing behind it.
    with pytest.raises(ImageTooLarge):
        read(raw_png(8, 2, 20_000, 20_000, b""))


@pytest.mark.parametrize("data", [b"", b"text", b"%PDF-1.7", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xff\xd8\xff", b"GIF89a"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError):
        read(data)


def test_formats_that_are_not_on_the_list_are_not_opened() -> None:
    with pytest.raises(UnsupportedFormat, match="PNG, JPEG, WebP"):
        read(saved(Image.new("RGB", (8, 8)), "JPEG2000"))
    with pytest.raises(UnsupportedFormat):
        read(saved(Image.new("RGB", (8, 8)), "PPM"))


@settings(deadline=None)  # shared machines
@given(share=st.floats(0.3, 0.97))
@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_half_a_file_is_refused_not_half_restored(format_: str, share: float) -> None:
    data = saved(Image.fromarray(noise(64, 64, 3)), format_)
    with pytest.raises(DamagedImage):
        read(data[: int(len(data) * share)])


@settings(deadline=None)  # shared machines
@given(data=st.data())
def test_a_picture_with_flipped_bytes_is_a_picture_or_an_error_of_ours(data: st.DataObject) -> None:
    format_ = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]))
    file = bytearray(saved(Image.fromarray(noise(12, 12, 3)), format_))
    for position in data.draw(st.lists(st.integers(0, len(file) - 1), min_size=1, max_size=5)):
        file[position] = data.draw(st.integers(0, 255))
    try:
        picture = read(bytes(file))
    except ImageError:
        return
    assert min(picture.size_wh) >= 1
