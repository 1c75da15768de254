"""What is refused before pixels are touched, and what a refusal says."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.decoding import DecodeLimits, Decoder, decode_here
from models.decoding.canvas import turn
from models.decoding.jpeg import count_scans
from models.decoding.limits import PEAK_BYTES_PER_PIXEL
from models.decoding.sniff import sniff
from models.decoding.webp import webp_size
from models.errors import DamagedImage, ImageError, ImageTooLarge, UnsupportedFormat
from models.picture import Picture
from tests.models.decoding.test_colour import chunk, with_chunk
from tests.models.toys import noise, png, saved

PHOTO = np.kron(noise(6, 8, 3), np.ones((16, 16, 1), np.uint8))


def read(data: bytes, **limits: int) -> Picture:
    return decode_here(data, DecodeLimits(**limits))


def every_format() -> dict[str, bytes]:
    image = Image.fromarray(PHOTO)
    read(png(PHOTO))  # which teaches Pillow to write HEIF
    return {name: saved(image, name) for name in PEAK_BYTES_PER_PIXEL}


@pytest.mark.parametrize("name", PEAK_BYTES_PER_PIXEL)
def test_every_format_is_read_and_known_by_its_first_bytes(name: str) -> None:
    data = every_format()[name]
    assert sniff(data) == name
    picture = read(data)
    assert picture.size_wh == (128, 96)
    assert np.abs(picture.pixels.astype(int) - PHOTO).mean() < 30  # GIF has 256 colours


@pytest.mark.parametrize("name", PEAK_BYTES_PER_PIXEL)
@pytest.mark.parametrize("share", [0.5, 0.75, 0.9])
def test_part_of_a_file_is_refused_in_every_format(name: str, share: float) -> None:
    data = every_format()[name]
    with pytest.raises(DamagedImage):
        read(data[: int(len(data) * share)])


@pytest.mark.parametrize("name", PEAK_BYTES_PER_PIXEL)
def test_the_limit_on_pixels_holds_in_every_format(name: str) -> None:
    with pytest.raises(ImageTooLarge, match=r"12,288 pixels \(128x96\), the limit is 12,287"):
        read(every_format()[name], max_pixels=12_287)


@pytest.mark.parametrize("name", PEAK_BYTES_PER_PIXEL)
def test_what_would_not_fit_into_memory_is_refused_with_numbers(name: str) -> None:
    with pytest.raises(ImageTooLarge, match=r"decoding 128x96 needs about [\d,]+ bytes of memory, the limit is 10,000"):
        read(every_format()[name], max_memory_bytes=10_000)


@pytest.mark.parametrize(("progressive", "least", "most"), [(False, 1, 1), (True, 6, 12)])
def test_scans_are_counted_as_libjpeg_makes_them(progressive: bool, least: int, most: int) -> None:
    data = saved(Image.fromarray(PHOTO), "JPEG", progressive=progressive)
    assert least <= count_scans(data, enough=100) <= most


def test_scans_in_previews_profiles_and_behind_the_end_do_not_count() -> None:
    preview = saved(Image.fromarray(PHOTO), "JPEG", progressive=True)
    data = saved(Image.fromarray(PHOTO), "JPEG", icc_profile=b"\xff\xda" * 1000, exif=b"Exif\0\0" + preview)
    assert count_scans(data + b"\xff\xda\0\x08" * 1000, enough=100) == 1


def test_counting_stops_when_it_is_enough() -> None:
    assert count_scans(b"\xff\xd8" + b"\xff\xda\0\x02" * 10_000, enough=7) == 8


@pytest.mark.parametrize(
    "how", [{}, {"lossless": True}, {"save_all": True, "append_images": [Image.new("RGB", (300, 17), "red")]}]
)
def test_the_size_of_a_webp_is_known_before_it_is_opened(how: dict[str, object]) -> None:
    assert webp_size(saved(Image.new("RGB", (300, 17)), "WEBP", **how)) == (300, 17)


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
def test_texts_of_a_png_cost_nothing_whatever_they_unpack_to(kind: bytes) -> None:
    bomb = zlib.compress(bytes(50_000_000))
    body = {b"tEXt": b"Comment\0" + b"x" * 100_000, b"zTXt": b"Comment\0\0" + bomb}.get(
        kind, b"Comment\0\1\0\0\0" + bomb
    )
    data = png(PHOTO)
    for _ in range(20):
        data = with_chunk(data, kind, body)
    np.testing.assert_array_equal(read(data).pixels, PHOTO)


def test_a_profile_that_unpacks_without_end_is_ignored_and_said_so() -> None:
    data = with_chunk(png(PHOTO), b"iCCP", b"bomb\0\0" + zlib.compress(bytes(100_000_000)))
    picture = read(data)
    np.testing.assert_array_equal(picture.pixels, PHOTO)
    assert picture.notices == ("profile_ignored",)


def test_a_wrong_checksum_where_it_does_not_matter_does_not_matter() -> None:
    bad = bytearray(with_chunk(png(PHOTO), b"tEXt", b"Comment\0hello"))
    bad[33 + 8] ^= 1
    np.testing.assert_array_equal(read(bytes(bad)).pixels, PHOTO)


def test_an_animated_png_is_its_first_picture_and_says_so() -> None:
    frames = [Image.fromarray(PHOTO), Image.new("RGB", (128, 96))]
    picture = read(saved(frames[0], "PNG", save_all=True, append_images=frames[1:]))
    np.testing.assert_array_equal(picture.pixels, PHOTO)
    assert picture.notices == ("first_frame_only",)


def test_a_claim_of_a_huge_canvas_takes_no_memory() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(100)))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")
    with pytest.raises(ImageTooLarge):
        read(data)
    with Decoder() as decoder, pytest.raises(ImageTooLarge, match=r"3,600,000,000 pixels .* the limit is 40,000,000"):
        decoder.decode(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"%PDF-1.7", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript drawing"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"PK\3\4" + bytes(30), "a ZIP archive"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
        (b"\xff\x0a\xfa\x1f", "a JPEG XL picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
        (b"8BPS\0\1", "a Photoshop document"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "a video"),
        (b"\x1aE\xdf\xa3", "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a sound or a video"),
        (b"\0\0\1\0\1\0", "a Windows icon"),
        (b"\0\0\2\0\1\0\x20\x20", "a Windows cursor"),
        (b"\0\0\2\0\0\0\0\0\0\0\0\0\x40\0\x30\0\x18\0", "a TGA picture"),
        (b"MM\0+\0\x08\0\0", "a BigTIFF picture"),
        (b"FUJIFILMCCD-RAW 0201", "a raw picture of a camera"),
        (b"IIRO\x08\0\0\0", "a raw picture of a camera; export it"),
        (b"IIU\0\x18\0\0\0", "a raw picture of a camera; export it"),
        (b"FOVb\0\0\2\0", "a raw picture of a camera; export it"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "a raw picture of a camera"),
        (b"\0\0\0\x20ftypM4A \0\0\2\0M4A mp42isom", "a sound"),
        (b"gimp xcf file\0", "a GIMP picture"),
        ("просто текст".encode(), "a text"),
        (bytes(9), "zeros"),
        (b"\x80\x81\x82\x83\x84", "something else"),
    ],
)
def test_what_is_no_picture_is_called_what_it_seems_to_be(data: bytes, words: str) -> None:
    with pytest.raises(UnsupportedFormat, match=words) as caught:
        read(data)
    assert "what can be read is PNG, JPEG, WebP, HEIC, AVIF" in str(caught.value)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_turned_once_by_what_its_boxes_say(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation  # which Pillow writes as boxes, too
    data = saved(Image.fromarray(PHOTO), "AVIF", exif=exif, quality=95)
    np.testing.assert_allclose(smooth(read(data)), smooth(turn(PHOTO, orientation)), atol=24)


@pytest.mark.parametrize("quarters", range(4))
def test_a_heic_is_turned_once_by_its_boxes_and_never_by_its_exif(quarters: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = every_format()["HEIF"]
    at = plain.index(b"pixi")  # becomes a rotation, anticlockwise
    assert plain[at - 4 : at] == struct.pack(">I", 16)
    data = plain[:at] + b"irot" + bytes([quarters]) + bytes(7) + plain[at + 12 :]
    np.testing.assert_allclose(smooth(read(data)), smooth(np.rot90(PHOTO, quarters)), atol=24)
    with_exif = saved(Image.fromarray(PHOTO), "HEIF", exif=exif)
    assert b"irot" in with_exif or read(with_exif).size_wh == (128, 96)


def smooth(picture: Picture | NDArray[np.uint8]) -> NDArray[np.float64]:
    """Means of blocks: what lossy formats keep."""
    pixels = picture.pixels if isinstance(picture, Picture) else picture
    height, width = pixels.shape[:2]
    return pixels.reshape(height // 16, 16, width // 16, 16, 3).mean(axis=(1, 3))


def test_a_damaged_header_is_an_error_of_ours() -> None:
    for name, data in every_format().items():
        for length in (3, 8, 16, 30):
            with pytest.raises(ImageError):
                read(data[:length])
        assert name


def gif_of(frame: NDArray[np.uint8], at_xy: tuple[int, int]) -> bytes:
    """A GIF of 8x8 with red behind colour 0; its only frame lies somewhere in it."""
    image = Image.fromarray(frame, "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    data = bytearray(saved(image, "GIF", optimize=False))
    data[6:10] = struct.pack("<HH", 8, 8)
    at = data.index(b"," + struct.pack("<HHHH", 0, 0, frame.shape[1], frame.shape[0]))
    data[at + 1 : at + 5] = struct.pack("<HH", *at_xy)
    return bytes(data)


def test_what_the_frame_of_a_gif_leaves_uncovered_is_transparent() -> None:
    frame = np.array([[1, 2, 1], [2, 1, 2]], np.uint8)
    picture = read(gif_of(frame, (4, 5)))
    covered = np.zeros((8, 8), bool)
    covered[5:7, 4:7] = True
    np.testing.assert_array_equal(picture.alpha, np.where(covered, 255, 0))
    np.testing.assert_array_equal(picture.pixels[5, 4], [0, 255, 0])
    assert read(gif_of(np.ones((8, 8), np.uint8), (0, 0))).alpha is None


@pytest.mark.parametrize(("level", "alpha"), [(0, 255), (7, 7)])
def test_a_bmp_of_which_nothing_would_be_seen_is_opaque(level: int, alpha: int) -> None:
    pixels = noise(4, 4, 4)
    pixels[..., 3] = level
    header = struct.pack("<IiiHHIIiiII", 124, 4, -4, 1, 32, 3, 64, 2835, 2835, 0, 0)
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = header + masks + b"BGRs" + bytes(124 - len(header) - len(masks) - 4)
    data = b"BM" + struct.pack("<IHHI", 14 + 124 + 64, 0, 0, 14 + 124) + head + pixels[..., [2, 1, 0, 3]].tobytes()
    picture = read(data)
    np.testing.assert_array_equal(picture.pixels, pixels[..., :3])
    np.testing.assert_array_equal(picture.alpha, np.full((4, 4), alpha))
