"""TIFF files that the libraries read wrongly, or take for whole when they are not."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.decoding import DecodeLimits, Decoder, decode_here
from models.decoding.canvas import as_stored
from models.errors import CameraRaw, DamagedImage, ImageError, ImageTooLarge, UnsupportedFormat
from models.picture import Picture
from tests.models.toys import noise, saved

Order = Literal["<", ">"]
DEFLATE = 8


def read(data: bytes) -> Picture:
    return decode_here(data, DecodeLimits())


def page(
    strips: list[bytes], at: int, order: Order = "<", *, following: bool = False, **tags: int | tuple[int, ...]
) -> bytes:
    """One page to be put at an offset, by hand: its table, behind it what does not fit there, then its strips.

    Args:
        strips: as they shall be in the file.
        at: offset of the page in the file.
        order: of bytes.
        following: another page comes right behind this one.
        tags: by number, preceded by ``t``; all of 16 bits. Those about strips are added.
    """
    values = {int(name[1:]): value if isinstance(value, tuple) else (value,) for name, value in tags.items()}
    values |= {273: (0,) * len(strips), 279: tuple(map(len, strips))}
    table_end = at + 2 + 12 * len(values) + 4
    longs = {273, 279}
    room = sum(len(each) * (4 if tag in longs else 2) for tag, each in values.items())
    first = table_end + room
    values[273] = tuple(first + sum(map(len, strips[:index])) for index in range(len(strips)))
    table, behind = struct.pack(order + "H", len(values)), b""
    for tag, each in sorted(values.items()):
        kind, letter = (4, "I") if tag in longs else (3, "H")
        packed = struct.pack(f"{order}{len(each)}{letter}", *each)
        table += struct.pack(order + "HHI", tag, kind, len(each))
        if len(packed) <= 4:
            table += packed.ljust(4, b"\0")
        else:
            table += struct.pack(order + "I", table_end + len(behind))
            behind += packed
    end = first + sum(map(len, strips))
    return table + struct.pack(order + "I", end if following else 0) + behind.ljust(room, b"\0") + b"".join(strips)


def tiff(strips: list[bytes], order: Order = "<", **tags: int | tuple[int, ...]) -> bytes:
    return head(order) + page(strips, 8, order, **tags)


def head(order: Order = "<") -> bytes:
    return (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)


def gray_tags(levels: NDArray[np.uint16], *, bits: int = 16, photometric: int = 1) -> dict[str, int]:
    height, width = levels.shape
    return {"t256": width, "t257": height, "t258": bits, "t259": 1, "t262": photometric, "t277": 1, "t278": height}


@pytest.mark.parametrize("compression", [1, DEFLATE])
@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_grays_where_zero_is_white_come_out_as_no_negative(order: Order, compression: int) -> None:
    levels = noise(6, 9, dtype=np.uint16)
    strip = (65535 - levels).astype(order + "u2").tobytes()
    packed = zlib.compress(strip) if compression == DEFLATE else strip
    data = tiff([packed], order, **{**gray_tags(levels, photometric=0), "t259": compression})
    np.testing.assert_array_equal(read(data).pixels, levels)


def packed_12_bit(levels: NDArray[np.uint16]) -> bytes:
    """Two levels in three bytes; rows must have an even width."""
    pairs = levels.reshape(-1, 2).astype(np.uint32)
    both = pairs[:, 0] << 12 | pairs[:, 1]
    return np.stack([both >> 16, both >> 8 & 255, both & 255], axis=1).astype(np.uint8).tobytes()


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [1, DEFLATE])
def test_12_bit_grays_are_as_bright_as_16_bit_ones(compression: int, order: Order, photometric: int) -> None:
    levels = noise(6, 8, dtype=np.uint16) >> 4
    levels[0, :2] = 0, 4095
    strip = packed_12_bit(levels if photometric else 4095 - levels)
    packed = zlib.compress(strip) if compression == DEFLATE else strip
    tags = {**gray_tags(levels, bits=12, photometric=photometric), "t259": compression}
    picture = read(tiff([packed], order, **tags))
    np.testing.assert_array_equal(picture.pixels, np.rint(levels.astype(float) * 65535 / 4095))


def rgb_tags(levels: NDArray[np.uint8] | NDArray[np.uint16], *, planar: int = 1) -> dict[str, int | tuple[int, ...]]:
    height, width, samples = levels.shape
    bits = (levels.itemsize * 8,) * samples
    return {"t256": width, "t257": height, "t258": bits, "t259": 1, "t262": 2, "t277": samples, "t278": height,
            "t284": planar}  # fmt: skip


def planes(levels: NDArray[np.uint8] | NDArray[np.uint16], order: Order = "<", *, rows: int = 0) -> list[bytes]:
    """A strip of each plane, or strips of some rows."""
    rows = rows or len(levels)
    typed = levels.astype(levels.dtype.newbyteorder(order))
    return [
        typed[top : top + rows, :, plane].tobytes()
        for plane in range(levels.shape[2])
        for top in range(0, len(levels), rows)
    ]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("rows", [6, 2])
@pytest.mark.parametrize("compression", [1, DEFLATE])
def test_separate_planes_of_16_bits_keep_them(compression: int, order: Order, rows: int) -> None:
    levels = noise(6, 9, 3, dtype=np.uint16)
    strips = planes(levels, order, rows=rows)
    packed = [zlib.compress(strip) for strip in strips] if compression == DEFLATE else strips
    data = tiff(packed, order, **{**rgb_tags(levels, planar=2), "t278": rows, "t259": compression})
    picture = read(data)
    np.testing.assert_array_equal(picture.pixels, levels)
    assert picture.notices == ()


@pytest.mark.parametrize("order", ["<", ">"])
def test_separate_planes_of_differences_are_the_picture(order: Order) -> None:
    levels = noise(6, 9, 3, dtype=np.uint16)
    differences = np.diff(levels, axis=1, prepend=np.zeros((6, 1, 3), np.uint16))  # predictor 2, to 16 bits
    strips = [zlib.compress(strip) for strip in planes(differences, order)]
    data = tiff(strips, order, **{**rgb_tags(levels, planar=2), "t259": DEFLATE, "t317": 2})
    np.testing.assert_array_equal(read(data).pixels, levels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_separate_planes_of_16_bits_are_upright(orientation: int) -> None:
    upright = noise(6, 9, 3, dtype=np.uint16)
    stored = np.empty((9, 6, 3) if orientation > 4 else (6, 9, 3), np.uint16)
    stored[...] = as_stored(upright, orientation)
    data = tiff(planes(stored), **rgb_tags(stored, planar=2), t274=orientation)
    np.testing.assert_array_equal(read(data).pixels, upright)


def test_separate_planes_of_16_bits_in_tiles_keep_them() -> None:
    levels = noise(32, 32, 3, dtype=np.uint16)
    tiles = [
        levels[top : top + 16, left : left + 16, plane].tobytes()
        for plane in range(3) for top in (0, 16) for left in (0, 16)
    ]  # fmt: skip
    data = as_tiles(tiff(tiles, **rgb_tags(levels, planar=2), t322=16, t323=16))
    np.testing.assert_array_equal(read(data).pixels, levels)


def test_separate_planes_of_16_bits_that_are_all_the_same_are_gray() -> None:
    gray = noise(6, 9, dtype=np.uint16)
    levels = np.stack([gray] * 3, axis=-1)
    np.testing.assert_array_equal(read(tiff(planes(levels), **rgb_tags(levels, planar=2))).pixels, gray)


def test_separate_planes_of_16_bits_in_two_pages_are_the_first_picture() -> None:
    levels = noise(6, 9, 3, dtype=np.uint16)
    first = page(planes(levels), 8, following=True, **rgb_tags(levels, planar=2))
    picture = read(head() + first + page(planes(levels), 8 + len(first), **rgb_tags(levels, planar=2)))
    np.testing.assert_array_equal(picture.pixels, levels)
    assert picture.notices == ("first_frame_only",)


def test_separate_planes_of_16_bits_keep_their_alpha() -> None:
    levels = noise(6, 9, 4, dtype=np.uint16)
    picture = read(tiff(planes(levels), **rgb_tags(levels, planar=2), t338=2))
    np.testing.assert_array_equal(picture.pixels, levels[..., :3])
    np.testing.assert_array_equal(picture.alpha, levels[..., 3])


@pytest.mark.parametrize("planar", [1, 2])
def test_16_bit_colours_multiplied_by_their_opacity_are_divided_by_it(planar: int) -> None:
    levels, opacity = noise(6, 9, 3, dtype=np.uint16), noise(6, 9, 1, dtype=np.uint16) // 2 + 32768
    opacity[0, 0] = 0
    product = np.rint(levels * (opacity / 65535)).astype(np.uint16)
    both = np.concatenate([product, opacity], axis=2)
    strips = planes(both) if planar == 2 else [both.tobytes()]
    picture = read(tiff(strips, **rgb_tags(both, planar=planar), t338=1))
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, opacity[..., 0])
    assert picture.pixels.dtype == np.uint16
    seen = opacity[..., 0] > 0
    np.testing.assert_allclose(picture.pixels[seen].astype(int), levels[seen].astype(int), atol=1)
    assert (picture.pixels[~seen] == 0).all()


@pytest.mark.parametrize("planar", [1, 2])
def test_a_fourth_channel_of_16_bits_that_is_nothing_known_is_no_alpha(planar: int) -> None:
    levels = noise(6, 9, 4, dtype=np.uint16)
    strips = planes(levels) if planar == 2 else [levels.tobytes()]
    picture = read(tiff(strips, **rgb_tags(levels, planar=planar), t338=0))
    np.testing.assert_array_equal(picture.pixels, levels[..., :3])
    assert picture.alpha is None


def test_separate_planes_of_8_bits_are_the_picture() -> None:
    levels = noise(6, 9, 3)
    np.testing.assert_array_equal(read(tiff(planes(levels), **rgb_tags(levels, planar=2))).pixels, levels)


@pytest.mark.parametrize("compression", [1, DEFLATE])
def test_gray_and_alpha_in_separate_planes_are_not_read_rather_than_made_invisible(compression: int) -> None:
    levels = noise(6, 9, 2)
    strips = planes(levels) if compression == 1 else [zlib.compress(plane) for plane in planes(levels)]
    tags = {**rgb_tags(levels, planar=2), "t262": 1, "t338": 2, "t259": compression}
    with pytest.raises(UnsupportedFormat, match="gray and alpha in separate planes"):
        read(tiff(strips, **tags))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("rows", [6, 2])
def test_a_tiff_that_says_it_is_twice_as_high_as_its_strips_is_refused(dtype: type, rows: int) -> None:
    levels = noise(6, 9, 3, dtype=dtype)
    strips = [levels[top : top + rows].tobytes() for top in range(0, 6, rows)]
    tags = {**rgb_tags(levels), "t278": rows}
    np.testing.assert_array_equal(read(tiff(strips, **tags)).pixels, levels)
    with pytest.raises(DamagedImage, match=f"{6 // rows} of {12 // rows} parts of the picture are there"):
        read(tiff(strips, **{**tags, "t257": 12}))


def test_a_tiff_that_lacks_a_strip_of_one_plane_is_refused() -> None:
    levels = noise(6, 9, 3)
    with pytest.raises(DamagedImage, match="2 of 3 parts"):
        read(tiff(planes(levels)[:2], **rgb_tags(levels, planar=2)))


@pytest.mark.parametrize("missing", [0, 1])
def test_a_tiff_that_lacks_a_tile_is_refused(missing: int) -> None:
    levels = noise(32, 32, 3)
    tiles = [levels[top : top + 16, left : left + 16].tobytes() for top in (0, 16) for left in (0, 16)]
    strips = tiff(tiles[: 4 - missing], **rgb_tags(levels), t322=16, t323=16)
    data = as_tiles(strips)
    if missing:
        with pytest.raises(DamagedImage, match="3 of 4 parts"):
            read(data)
    else:
        np.testing.assert_array_equal(read(data).pixels, levels)


def as_tiles(data: bytes) -> bytes:
    """The same page, its strips called tiles; its table stays in order of numbers."""
    count = struct.unpack_from("<H", data, 8)[0]
    entries = {}
    for at in range(10, 10 + 12 * count, 12):
        tag = struct.unpack_from("<H", data, at)[0]
        if tag != 278:
            number = {273: 324, 279: 325}.get(tag, tag)
            entries[number] = struct.pack("<H", number) + data[at + 2 : at + 12]
    table = struct.pack("<H", len(entries)) + b"".join(entries[number] for number in sorted(entries)) + bytes(4)
    return data[:8] + table.ljust(2 + 12 * count + 4, b"\0") + data[8 + 2 + 12 * count + 4 :]


@pytest.mark.parametrize(("dtype", "sample_format"), [(np.uint32, 1), (np.float32, 3), (np.float16, 3), (np.int16, 2)])
def test_a_tiff_of_numbers_that_are_not_read_is_not_called_damaged(dtype: type, sample_format: int) -> None:
    levels = np.ones((6, 9, 3), dtype)
    tags = {**rgb_tags(noise(6, 9, 3)), "t258": (levels.itemsize * 8,) * 3, "t339": (sample_format,) * 3}
    data = tiff([levels.tobytes()], **tags)
    with pytest.raises(UnsupportedFormat, match="of this kind is not read here; save it anew as PNG or JPEG"):
        read(data)
    with pytest.raises(DamagedImage):  # its pixels are not there
        read(data[: len(data) - levels.nbytes])


def raw_files() -> dict[str, bytes]:
    """As cameras arrange them: a small picture first, what the sensor saw in a table of its own or behind."""
    preview, sensor = noise(2, 3, 3), noise(6, 8, dtype=np.uint16)
    plain = rgb_tags(preview) | {"t254": 1}
    of_sensor = gray_tags(sensor, photometric=1) | {"t262": 32803}
    files = {"CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(4) + page([preview.tobytes()], 16, **rgb_tags(preview))}
    for order in ("<", ">"):
        first = page([preview.tobytes()], 8, order, **plain, t330=0)
        behind = page([sensor.tobytes()], 8 + len(first), order, **of_sensor)
        # The pointer to the sub-table, which ``page`` writes with 16 bits, is a long one in cameras' files.
        entry = struct.pack(order + "HHI", 330, 3, 1)
        pointing = first.replace(entry + bytes(4), struct.pack(order + "HHII", 330, 4, 1, 8 + len(first)))
        assert pointing != first
        files[f"NEF or ARW {order}"] = head(order) + pointing + behind
    files["PEF"] = tiff([sensor.tobytes()], **of_sensor)
    files["DNG"] = tiff([preview.tobytes()], **plain, t50706=(1, 4))
    files["DNG, linear"] = tiff([preview.tobytes()], **{**rgb_tags(preview), "t262": 34892})
    return files


@pytest.mark.parametrize("kind", raw_files())
def test_the_preview_in_a_raw_file_of_a_camera_is_not_taken_for_the_picture(kind: str) -> None:
    with pytest.raises(CameraRaw, match="a raw picture of a camera; export it as JPEG, PNG or TIFF"):
        read(raw_files()[kind])


@pytest.mark.parametrize("kind", raw_files())
def test_a_raw_file_that_is_cut_off_anywhere_is_an_error_of_ours_or_its_preview(kind: str) -> None:
    data = raw_files()[kind]
    for length in range(4, len(data), 3):
        with suppress(ImageError):
            assert read(data[:length]).size_wh == (3, 2)


def test_a_raw_file_is_known_as_one_outside_the_process_that_decodes() -> None:
    with Decoder() as decoder, pytest.raises(CameraRaw, match="a raw picture of a camera"):
        decoder.decode(raw_files()["DNG"], DecodeLimits())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_preview_in_front_of_the_picture_is_passed_over(order: Order, dtype: type) -> None:
    levels, preview = noise(6, 9, 3, dtype=dtype), noise(2, 3, 3, dtype=dtype)
    first = page([preview.tobytes()], 8, order, following=True, **rgb_tags(preview), t254=1)
    strip = levels.astype(levels.dtype.newbyteorder(order)).tobytes()
    data = head(order) + first + page([strip], 8 + len(first), order, **rgb_tags(levels), t254=0)
    np.testing.assert_array_equal(read(data).pixels, levels)


def test_a_mask_between_preview_and_picture_is_passed_over_with_it() -> None:
    levels, preview = noise(6, 9, 3), noise(2, 3, 3)
    mask = 255 - levels
    pages = [(preview, 1), (mask, 4), (levels, 0)]
    data = head()
    for pixels, subfile in pages:
        follows = subfile != 0
        data += page([pixels.tobytes()], len(data), following=follows, **rgb_tags(pixels), t254=subfile)
    np.testing.assert_array_equal(read(data).pixels, levels)


def test_a_preview_without_a_picture_is_the_picture() -> None:
    preview = noise(2, 3, 3)
    np.testing.assert_array_equal(read(tiff([preview.tobytes()], **rgb_tags(preview), t254=1)).pixels, preview)


def test_the_limit_on_pixels_counts_for_the_picture_behind_a_preview() -> None:
    levels, preview = noise(60, 90, 3), noise(2, 3, 3)
    first = page([preview.tobytes()], 8, following=True, **rgb_tags(preview), t254=1)
    data = head() + first + page([levels.tobytes()], 8 + len(first), **rgb_tags(levels))
    with pytest.raises(ImageTooLarge, match="90x60"):
        decode_here(data, DecodeLimits(max_pixels=5000))


def test_pages_that_follow_each_other_in_a_circle_end() -> None:
    preview = noise(2, 3, 3)
    data = bytearray(tiff([preview.tobytes()], **rgb_tags(preview), t254=1))
    end_of_table = 10 + 12 * struct.unpack_from("<H", data, 8)[0]
    data[end_of_table : end_of_table + 4] = struct.pack("<I", 8)
    np.testing.assert_array_equal(read(bytes(data)).pixels, preview)


@pytest.mark.parametrize("how", [{}, {"compression": "tiff_lzw"}, {"compression": "jpeg"}, {"tiffinfo": {278: 7}}])
def test_files_as_pillow_writes_them_are_whole(how: dict[str, object]) -> None:
    assert read(saved(Image.fromarray(noise(70, 30, 3)), "TIFF", **how)).size_wh == (30, 70)


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_one_channel_in_planes_of_its_own_is_what_it_is(dtype: type, photometric: int) -> None:
    levels = noise(6, 9, dtype=dtype)
    strip = (levels if photometric else np.iinfo(dtype).max - levels).tobytes()
    tags = gray_tags(levels, bits=levels.itemsize * 8, photometric=photometric)
    np.testing.assert_array_equal(read(tiff([strip], **tags, t284=2)).pixels, levels)
