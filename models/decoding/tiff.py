"""The TIFF files that Pillow and OpenCV would read wrongly without a word, and what to do about each."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from PIL import Image, TiffImagePlugin

from models.errors import UnsupportedFormat

SUBFILE_TYPE, WIDTH, HEIGHT, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262  # tags
STRIP_OFFSETS, SAMPLES_PER_PIXEL, ROWS_PER_STRIP, PLANAR = 273, 277, 278, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_LENGTHS = 322, 323, 324, 325
FILL_ORDER, ORIENTATION, STRIP_LENGTHS, PREDICTOR = 266, 274, 279, 317
# What holds for one plane as for all.
OF_EACH_PLANE = (
    WIDTH, HEIGHT, COMPRESSION, FILL_ORDER, ORIENTATION, ROWS_PER_STRIP, PREDICTOR, TILE_WIDTH, TILE_HEIGHT,
)  # fmt: skip
REDUCED, MASK = 1, 4  # bits of the subfile type
WHITE_IS_ZERO, SEPARATE, UNCOMPRESSED, OLD_JPEG = 0, 2, 1, 6  # values
SUB_TABLES, DNG_VERSION = 330, 50706
OF_SENSORS = {32803, 34892}  # photometric: an array of colour filters, linear but not developed
INTEGERS = {3: ("H", 2), 4: ("I", 4), 13: ("I", 4), 16: ("Q", 8), 18: ("Q", 8)}  # by the number of their type
LOOKED_AT = {PHOTOMETRIC, SUB_TABLES, DNG_VERSION, WIDTH, HEIGHT, STRIP_OFFSETS, TILE_OFFSETS}  # without Pillow
MAX_TABLES, MAX_ENTRIES = 32, 1000  # of them
MAX_PREVIEWS = 16  # in front of the picture

# Grays of its own kinds in the other order of bytes, or with white as zero; Pillow's table of modes lacks them.
for _photometric in (0, 1):
    TiffImagePlugin.OPEN_INFO.setdefault((b"MM", _photometric, (1,), 1, (16,), ()), ("I;16B", "I;16B"))
    for _order in (b"II", b"MM"):
        TiffImagePlugin.OPEN_INFO.setdefault((_order, _photometric, (1,), 1, (12,), ()), ("I;16", "I;12"))


@dataclass(frozen=True, slots=True)
class GrayScale:
    """What the levels of a gray in 16-bit words mean.

    Args:
        white: the largest level.
        is_negative: it stands for black.
    """

    white: int = 65535
    is_negative: bool = False


def open_tiff(data: bytes) -> tuple[bytes, Image.Image]:
    """Open the first page that is not a small preview of another.

    Args:
        data: the whole file.

    Returns:
        The file, changed so that this page comes first, which is all that OpenCV can find; and Pillow's image of it.

    Raises:
        Exception: whatever Pillow raises, see ``FOREIGN_ERRORS``.
    """
    image = Image.open(io.BytesIO(data), formats=("TIFF",))
    if _tag(image, SUBFILE_TYPE, 0) & REDUCED:
        data = _with_picture_first(data, image)
        image = Image.open(io.BytesIO(data), formats=("TIFF",))
    return data, image


def is_camera_raw(data: bytes) -> bool:
    """Whether what starts like a TIFF is a camera's raw file, in which a picture is no more than a preview.

    Such files say so at their start (Canon's), by the version of DNG that they follow, or by pixels that are a
    sensor's: of one colour each (ISO 12234-2), or not yet developed.
    """
    if data[8:10] == b"CR":
        return True
    order = "<" if data[:2] == b"II" else ">"
    is_big = data[2:4] in {b"+\0", b"\0+"}
    first = _number(data, 8, order + "Q") if is_big else _number(data, 4, order + "I")
    waiting, seen = [first], set[int]()
    while waiting and len(seen) < MAX_TABLES:
        at = waiting.pop()
        if at and at not in seen:
            seen.add(at)
            table, following = _table(data, at, order, is_big=is_big)
            if DNG_VERSION in table or OF_SENSORS & {*table.get(PHOTOMETRIC, ())}:
                return True
            waiting += [following, *table.get(SUB_TABLES, ())]
    return False


def says_what_it_is(data: bytes) -> bool:
    """Whether a TIFF's first table is there with size and place of its pixels, so that only their kind is in doubt."""
    order, is_big = ("<" if data[:2] == b"II" else ">"), data[2:4] in {b"+\0", b"\0+"}
    at = _number(data, 8, order + "Q") if is_big else _number(data, 4, order + "I")
    table, _ = _table(data, at, order, is_big=is_big)
    parts = table.get(STRIP_OFFSETS) or table.get(TILE_OFFSETS) or (len(data),)
    return bool(table.get(WIDTH) and table.get(HEIGHT)) and max(parts) < len(data)


def _table(data: bytes, at: int, order: str, *, is_big: bool) -> tuple[dict[int, tuple[int, ...]], int]:
    """What of a table is looked at without Pillow, by tag, and the offset of the table that follows; 0: none."""
    count, size, head = (_number(data, at, order + "Q"), 20, 8) if is_big else (_number(data, at, order + "H"), 12, 2)
    values: dict[int, tuple[int, ...]] = {}
    for entry in range(at + head, at + head + size * min(count, MAX_ENTRIES), size):
        tag, kind = _number(data, entry, order + "H"), _number(data, entry + 2, order + "H")
        if tag not in LOOKED_AT:
            continue
        many = min(_number(data, entry + 4, order + ("Q" if is_big else "I")), MAX_TABLES)
        letter, width = INTEGERS.get(kind, ("B", 1))
        inside = entry + (12 if is_big else 8)
        if many * width > (8 if is_big else 4):
            inside = _number(data, inside, order + ("Q" if is_big else "I"))
        values[tag] = tuple(_number(data, inside + index * width, order + letter) for index in range(many))
    return values, _number(data, at + head + size * count, order + ("Q" if is_big else "I"))


def _number(data: bytes, at: int, kind: str) -> int:
    """A number of the file; 0 behind its end."""
    there = at + struct.calcsize(kind) <= len(data)
    return int(struct.unpack_from(kind, data, at)[0]) if there else 0


def gray_scale(image: Image.Image) -> GrayScale:
    """How to read the levels of a gray picture that Pillow keeps as 16-bit words, as the file has them."""
    if image.format != "TIFF":
        return GrayScale()
    bits = int(_tag(image, BITS_PER_SAMPLE, (16,))[0])
    return GrayScale(2**bits - 1, _tag(image, PHOTOMETRIC, WHITE_IS_ZERO) == WHITE_IS_ZERO)


def ready_to_load(data: bytes, image: Image.Image) -> Image.Image:
    """The image, or one that libtiff reads: Pillow's own reader takes each of separate planes for one of 8 bits.

    Args:
        data: the file of :func:`open_tiff`.
        image: opened from it; any step to another of its pages would undo this.

    Raises:
        UnsupportedFormat: planes that neither of the two reads rightly.
    """
    if not has_planes(image):
        return image
    if image.mode in {"LA", "PA"}:  # libtiff's alpha would be zero everywhere
        raise UnsupportedFormat("a TIFF with gray and alpha in separate planes is not read here")
    if _tag(image, COMPRESSION, UNCOMPRESSED) != UNCOMPRESSED:
        return image
    before = TiffImagePlugin.READ_LIBTIFF
    TiffImagePlugin.READ_LIBTIFF = True  # libtiff reads what others open meanwhile as well
    try:
        return Image.open(io.BytesIO(data), formats=("TIFF",))
    finally:
        TiffImagePlugin.READ_LIBTIFF = before


def has_planes(image: Image.Image) -> bool:
    """Whether each channel is stored on its own."""
    return bool(_tag(image, PLANAR, 1) == SEPARATE)


def planes_16_bit(data: bytes) -> list[Image.Image]:
    """The channels of a picture in separate planes of 16 bits, each loaded as a gray picture, and upright.

    Args:
        data: the file of :func:`open_tiff`, of which no part is missing.

    Raises:
        Exception: whatever Pillow raises, see ``FOREIGN_ERRORS``.
    """
    image = Image.open(io.BytesIO(data), formats=("TIFF",))  # anew: a loaded one has forgotten how it was turned
    where, lengths = _places(image)
    places = list(zip(_tag(image, where, ()), _tag(image, lengths, ()), strict=True))
    count = len(places) // int(_tag(image, SAMPLES_PER_PIXEL, 1))
    planes: list[Image.Image] = []
    for first in range(0, len(places), count):
        parts = [data[at : at + length] for at, length in places[first : first + count]]
        planes.append(Image.open(io.BytesIO(_gray_file(parts, data[:2], image)), formats=("TIFF",)))
        planes[-1].load()
    return planes


def _gray_file(parts: list[bytes], order: bytes, image: Image.Image) -> bytes:
    """A TIFF of one 16-bit channel: its strips or tiles, behind them the table, the offsets and lengths last."""
    letter = "<" if order == b"II" else ">"
    where, lengths = _places(image)
    values = {BITS_PER_SAMPLE: 16, PHOTOMETRIC: 1, SAMPLES_PER_PIXEL: 1}
    values |= {tag: int(_tag(image, tag, 0)) for tag in OF_EACH_PLANE if _tag(image, tag, 0)}
    pixels = b"".join(parts)
    pixels += bytes(len(pixels) % 2)
    table_at = 8 + len(pixels)
    lists_at = table_at + 2 + 12 * (len(values) + 2) + 4
    starts = list(accumulate(map(len, parts[:-1]), initial=8))
    packed = [struct.pack(f"{letter}{len(parts)}I", *numbers) for numbers in (starts, map(len, parts))]
    entries = [(tag, struct.pack(letter + "HHII", tag, 4, 1, value)) for tag, value in values.items()]
    for tag, numbers, at in ((where, packed[0], lists_at), (lengths, packed[1], lists_at + len(packed[0]))):
        value = numbers if len(parts) == 1 else struct.pack(letter + "I", at)
        entries.append((tag, struct.pack(letter + "HHI", tag, 4, len(parts)) + value))
    table = struct.pack(letter + "H", len(entries)) + b"".join(entry for _, entry in sorted(entries)) + bytes(4)
    return order + struct.pack(letter + "HI", 42, table_at) + pixels + table + b"".join(packed)


def _places(image: Image.Image) -> tuple[int, int]:
    """The tags that say where the parts of the picture are, and how long."""
    return (STRIP_OFFSETS, STRIP_LENGTHS) if _tag(image, STRIP_OFFSETS, ()) else (TILE_OFFSETS, TILE_LENGTHS)


def check_parts(image: Image.Image) -> None:
    """Refuse a file that lists fewer strips or tiles than its size takes; decoders leave the rest black, or worse.

    Raises:
        ValueError: with both numbers.
    """
    if _tag(image, COMPRESSION, UNCOMPRESSED) == OLD_JPEG:  # is one stream, whatever its strips say
        return
    width, height = _tag(image, WIDTH, 0), _tag(image, HEIGHT, 0)
    if offsets := _tag(image, STRIP_OFFSETS, ()):
        needed = _parts(height, _tag(image, ROWS_PER_STRIP, height))
    elif offsets := _tag(image, TILE_OFFSETS, ()):
        needed = _parts(width, _tag(image, TILE_WIDTH, width)) * _parts(height, _tag(image, TILE_HEIGHT, height))
    else:
        return
    if has_planes(image):
        needed *= _tag(image, SAMPLES_PER_PIXEL, 1)
    if len(offsets) < needed:
        raise ValueError(f"{len(offsets):,} of {needed:,} parts of the picture are there")


def _parts(side: int, of_one: int) -> int:
    return -(-side // (of_one or side))


def _with_picture_first(data: bytes, image: Image.Image) -> bytes:
    """The file, its header pointing to the first page that is no preview; as it is where all are."""
    order = "<" if data[:2] == b"II" else ">"
    for page in range(1, MAX_PREVIEWS + 1):
        try:
            image.seek(page)
        except EOFError:
            break
        if not _tag(image, SUBFILE_TYPE, 0) & (REDUCED | MASK):
            at = image.tag_v2.offset  # type: ignore[attr-defined]  # of the TIFF plugin's class
            is_big = struct.unpack_from(order + "H", data, 2)[0] == 43
            where, kind = (8, "Q") if is_big else (4, "I")
            pointer = struct.pack(order + kind, at)
            return data[:where] + pointer + data[where + len(pointer) :]
    return data


def _tag(image: Image.Image, number: int, default: Any) -> Any:
    return image.tag_v2.get(number, default)  # type: ignore[attr-defined]  # of the TIFF plugin's class
