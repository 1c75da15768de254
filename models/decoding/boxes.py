"""What the boxes of a HEIC or AVIF file say about its primary picture (ISO/IEC 14496-12 and 23008-12).

Neither Pillow nor pillow-heif tells the size before the file is opened, and Pillow tells no colour space but an ICC
profile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

MAX_BOXES = 4096  # of one level; a 100-megapixel picture in small tiles has about 2000 properties


@dataclass(frozen=True, slots=True)
class Described:
    """The primary picture as the file describes it.

    Args:
        size_wh: stored width and height, before any rotation; None where the file does not say.
        nclx: code points of primaries and transfer function (ITU-T H.273).
    """

    size_wh: tuple[int, int] | None = None
    nclx: tuple[int, int] | None = None


def describe(data: bytes) -> Described:
    """Find the properties of the primary picture; a damaged file comes out as one that says nothing."""
    meta = _first(data, b"meta")[4:]  # after version and flags
    primary = _primary(_first(meta, b"pitm"))
    properties_box = _first(meta, b"iprp")
    properties = list(_boxes(_first(properties_box, b"ipco")))
    numbers = _associated(_first(properties_box, b"ipma"), primary)
    mine = [properties[number - 1] for number in numbers if 1 <= number <= len(properties)]
    size_wh, nclx = None, None
    for kind, body in mine:
        if kind == b"ispe" and len(body) >= 12:
            size_wh = int.from_bytes(body[4:8]), int.from_bytes(body[8:12])
        elif kind == b"colr" and body[:4] == b"nclx" and len(body) >= 8:
            nclx = int.from_bytes(body[4:6]), int.from_bytes(body[6:8])
    return Described(size_wh, nclx)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    for _ in range(MAX_BOXES):
        head = 8
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if length == 1:
            head, length = 16, int.from_bytes(data[at + 8 : at + 16])
        elif length == 0:
            length = len(data) - at
        if len(kind) < 4 or length < head or at + length > len(data):
            return
        yield kind, data[at + head : at + length]
        at += length


def _first(data: bytes, kind: bytes) -> bytes:
    return next((body for found, body in _boxes(data) if found == kind), b"")


def _primary(pitm: bytes) -> int:
    wide = pitm[:1] != b"\0"
    return int.from_bytes(pitm[4:8] if wide else pitm[4:6])


def _associated(ipma: bytes, item: int) -> list[int]:
    """Numbers, from 1, of the properties of one item."""
    take = partial(_take, ipma)
    wide_items, wide_numbers = ipma[:1] not in {b"", b"\0"}, bool(ipma[3:4] and ipma[3] & 1)
    at, entries = 8, take(4, 4)
    for _ in range(min(entries, MAX_BOXES)):
        size = 4 if wide_items else 2
        found, count = take(at, size), take(at + size, 1)
        at += size + 1
        width = 2 if wide_numbers else 1
        numbers = [take(at + index * width, width) & (0x7FFF if wide_numbers else 0x7F) for index in range(count)]
        at += count * width
        if found == item:
            return numbers
    return []


def _take(data: bytes, at: int, length: int) -> int:
    return int.from_bytes(data[at : at + length])
