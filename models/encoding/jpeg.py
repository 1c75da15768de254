"""JPEG, baseline, 4:4:4, from strips that are encoded side by side.

Every strip is a whole number of rows of 8x8 blocks and becomes one restart interval, so that its bytes can stand
between the others' as they are (ITU-T T.81, E.1.4). Without chroma subsampling no block looks across a strip's edge:
the coefficients are those of one encoder that does it all, and so is every decoded pixel.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from models.encoding.description import Description
from models.encoding.strips import in_threads, opaque_8_bit, row_strips
from models.errors import ResultTooLarge
from models.picture import Picture
from models.stopping import never

BLOCK = 8  # px; with 4:4:4 also the side of an MCU, the unit that restart intervals are counted in
# Of pixels: enough work for a thread, little memory for many. 15,625 blocks at most, or a single row of 8,188: DRI,
# which says how many an interval has, counts to 65,535.
STRIP_BYTES = 1_000_000

SOI, EOI, SOF0, SOS, DRI, APP0, APP1, APP2 = (
    b"\xff\xd8", b"\xff\xd9", b"\xff\xc0", b"\xff\xda", b"\xff\xdd", b"\xff\xe0", b"\xff\xe1", b"\xff\xe2",
)  # fmt: skip
HEIGHT_IN_SOF0 = 1  # offset in the segment's body, after the sample precision
PROFILE_PIECE = 65_519  # bytes of an ICC profile per segment, of which there are 255 at most
XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"


def write_jpeg(
    picture: Picture, quality: int, description: Description, threads: int, should_stop: Callable[[], bool] = never
) -> bytes:
    """Encode a picture; 16 bits and transparency, which JPEG has not, become 8 and white.

    Args:
        picture: sides of at most 65,500 px, libjpeg's limit.
        quality: libjpeg's, 1 to 100.
        description: what is said about the picture.
        threads: that work on strips; the bytes do not depend on them.
        should_stop: asked before each strip.

    Raises:
        ResultTooLarge: the encoder gave up.
        RestorationStopped: ``should_stop`` said so.
    """
    width, height = picture.size_wh
    strips = row_strips(height, _rows_per_strip(picture))
    how = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    file = io.BytesIO()
    for number, encoded in enumerate(
        in_threads(lambda rows: _encode(picture, rows, how), strips, threads, should_stop)
    ):
        head, scan = _parts(encoded)
        if number == 0:
            interval = strips[0].stop // BLOCK * -(-width // BLOCK) if len(strips) > 1 else 0
            file.write(_head(head, height, interval, description))
        else:
            file.write(bytes((0xFF, 0xD0 + (number - 1) % 8)))
        file.write(encoded[scan : -len(EOI)])
    file.write(EOI)
    return file.getvalue()


def _rows_per_strip(picture: Picture) -> int:
    row_bytes = picture.size_wh[0] * (1 if picture.is_gray else 3)
    return BLOCK * max(1, STRIP_BYTES // (BLOCK * row_bytes))


def _encode(picture: Picture, rows: slice, how: list[int]) -> bytes:
    pixels = opaque_8_bit(picture, rows)
    if pixels.ndim == 3:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)
    try:
        done, encoded = cv2.imencode(".jpg", pixels, how)
    except cv2.error as exc:
        raise ResultTooLarge(f"a picture of {picture.size_wh} cannot be written as JPEG: {exc}") from exc
    if not done:
        raise ResultTooLarge(f"a picture of {picture.size_wh} cannot be written as JPEG")
    return encoded.tobytes()


def _parts(encoded: bytes) -> tuple[list[tuple[bytes, bytes]], int]:
    """Marker and body of every segment before the scan's data, SOS the last; and where that data starts."""
    segments: list[tuple[bytes, bytes]] = []
    offset = len(SOI)
    while not segments or segments[-1][0] != SOS:
        marker, length = struct.unpack_from(">2sH", encoded, offset)
        segments.append((marker, encoded[offset + 4 : offset + 2 + length]))
        offset += 2 + length
    return segments, offset


def _head(segments: list[tuple[bytes, bytes]], height: int, interval: int, description: Description) -> bytes:
    """Everything up to the scan's data: the first strip's tables, the whole picture's height, our description."""
    parts = [SOI, *(_segment(marker, body) for marker, body in _describing(description))]
    for marker, body in segments:
        if marker == SOF0:
            parts.append(
                _segment(marker, body[:HEIGHT_IN_SOF0] + struct.pack(">H", height) + body[HEIGHT_IN_SOF0 + 2 :])
            )
        elif marker == SOS:
            parts += [_segment(DRI, struct.pack(">H", interval))] if interval else []
            parts.append(_segment(marker, body))
        elif marker != APP0:
            parts.append(_segment(marker, body))
    return b"".join(parts)


def _describing(description: Description) -> Iterator[tuple[bytes, bytes]]:
    # 1:1 without a unit means square pixels; 0 is not allowed.
    across, down = (min(max(1, round(value)), 65_535) for value in description.dpi or (1, 1))
    yield APP0, b"JFIF\0" + struct.pack(">BBBHHBB", 1, 1, description.dpi is not None, across, down, 0, 0)
    if description.taken:
        yield APP1, b"Exif\0\0" + description.exif()
    if description.packet:
        yield APP1, XMP_NAME + description.packet
    if description.profile:
        starts = range(0, len(description.profile), PROFILE_PIECE)
        for number, start in enumerate(starts, 1):
            piece = description.profile[start : start + PROFILE_PIECE]
            yield APP2, b"ICC_PROFILE\0" + bytes((number, len(starts))) + piece


def _segment(marker: bytes, body: bytes) -> bytes:
    return marker + struct.pack(">H", len(body) + 2) + body
