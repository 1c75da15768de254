"""PNG, from strips that are filtered and compressed side by side.

Every strip is deflated by itself, ends with a sync flush, and is one IDAT chunk; together they are one zlib stream
(RFC 1950, 1951), whose checksum is put together from those of the strips.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from isal import isal_zlib

from models.encoding.description import Description
from models.encoding.png_filters import PREDICTIONS, Bytes, Strip
from models.encoding.strips import in_threads, row_strips
from models.picture import Picture
from models.stopping import never

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {(True, False): 0, (False, False): 2, (True, True): 4, (False, True): 6}  # by gray, alpha
ZLIB_HEADER = b"\x78\x01"  # deflate, a window of 32 KB, fastest
RAW = -15  # window bits of a stream without header and checksum
LEVEL = 2  # of 0 to 3
STRIP_BYTES = 500_000  # of pixels: a strip and what is made of it stay in a core's cache
TRIAL_SHARE = 8  # one row in so many is compressed with every filter to see which is best for the strip
TRIAL_BYTES = 32_000  # fewer say nothing
ADLER_BASE = 65_521
INCH_IN_METRES = 0.0254


@dataclass(frozen=True, slots=True)
class Deflated:
    """One strip's part of the zlib stream.

    Args:
        data: raw deflate blocks, the first strip's after the stream's header.
        crc: CRC-32 of ``IDAT`` and ``data``.
        adler: Adler-32 of what was compressed.
        raw_bytes: length of that.
    """

    data: bytes
    crc: int
    adler: int
    raw_bytes: int


def write_png(
    picture: Picture, description: Description, threads: int, should_stop: Callable[[], bool] = never
) -> bytes:
    """Encode a picture without loss.

    Args:
        picture: gray or RGB, either with alpha, of 8 or 16 bits.
        description: what is said about the picture.
        threads: that work on strips; the bytes do not depend on them.
        should_stop: asked before each strip.

    Raises:
        RestorationStopped: ``should_stop`` said so.
    """
    width, height = picture.size_wh
    strips = row_strips(height, max(1, STRIP_BYTES // Strip(picture, slice(0, 0)).row_bytes))
    file = io.BytesIO()
    file.write(SIGNATURE)
    colour_type = COLOUR_TYPES[picture.is_gray, picture.alpha is not None]
    depth = 8 * picture.pixels.dtype.itemsize
    file.write(_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)))
    file.writelines(_chunk(kind, body) for kind, body in _describing(description))
    adler = 1
    parts = in_threads(lambda rows: _deflate(picture, rows, last=rows.stop == height), strips, threads, should_stop)
    for number, part in enumerate(parts, 1):
        adler = combine_adler32(adler, part.adler, part.raw_bytes)
        ending = struct.pack(">I", adler) if number == len(strips) else b""
        file.write(struct.pack(">I4s", len(part.data) + len(ending), b"IDAT"))
        file.write(part.data)
        file.write(ending + struct.pack(">I", isal_zlib.crc32(ending, part.crc)))
    file.write(_chunk(b"IEND", b""))
    return file.getvalue()


def _deflate(picture: Picture, rows: slice, *, last: bool) -> Deflated:
    strip = Strip(picture, rows)
    filtered = strip.filtered(_best_filter(strip, rows.stop - rows.start))
    data = (b"" if rows.start else ZLIB_HEADER) + _compressed(filtered, last=last)
    return Deflated(data, isal_zlib.crc32(data, isal_zlib.crc32(b"IDAT")), isal_zlib.adler32(filtered), filtered.size)


def _best_filter(strip: Strip, rows: int) -> int:
    """Whose result is shortest, by trial: sums of differences, the usual guess, go wrong on flat drawings."""
    every = min(TRIAL_SHARE, max(1, rows * strip.row_bytes // TRIAL_BYTES))
    return min(PREDICTIONS, key=lambda kind: len(_compressed(strip.filtered(kind, every), last=True)))


def _compressed(filtered: Bytes, *, last: bool) -> bytes:
    stream = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, RAW)
    return stream.compress(filtered) + stream.flush(isal_zlib.Z_FINISH if last else isal_zlib.Z_SYNC_FLUSH)


def combine_adler32(first: int, second: int, second_bytes: int) -> int:
    """Adler-32 of two pieces of data from those of each (RFC 1950, 8.2).

    The low half is 1 plus the sum of all bytes; the high half the sum of all values the low half had, and over the
    second piece each of these was larger by what the low half was after the first.
    """
    low_1, high_1, low_2, high_2 = first & 0xFFFF, first >> 16, second & 0xFFFF, second >> 16
    low = (low_1 + low_2 - 1) % ADLER_BASE
    high = (high_1 + high_2 + second_bytes * (low_1 - 1)) % ADLER_BASE
    return high << 16 | low


def _describing(description: Description) -> Iterator[tuple[bytes, bytes]]:
    """Chunks that have to come before the pixels."""
    if description.profile:
        yield b"iCCP", b"ICC\0\0" + zlib.compress(description.profile)
    elif description.is_srgb:
        yield b"sRGB", b"\0"  # perceptual
    if description.dpi:
        across, down = (round(value / INCH_IN_METRES) for value in description.dpi)
        yield b"pHYs", struct.pack(">IIB", across, down, 1)
    if description.taken:
        yield b"eXIf", description.exif()
    if description.packet:
        yield b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + description.packet  # not compressed, no language


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
