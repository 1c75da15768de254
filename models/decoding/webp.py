"""The header of a WebP file; Pillow's reader takes memory for the whole canvas as soon as it opens one."""

from __future__ import annotations

import struct
from collections.abc import Iterator

KEY_FRAME = b"\x9d\x01\x2a"


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height the file says it has; None where its header says nothing."""
    for kind, body in _chunks(data):
        if kind == b"VP8X" and len(body) >= 10:
            return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
        if kind == b"VP8L" and len(body) >= 5:
            bits = int.from_bytes(body[1:5], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        if kind == b"VP8 " and body[3:6] == KEY_FRAME:
            width, height = struct.unpack_from("<HH", body.ljust(10, b"\0"), 6)
            return width & 0x3FFF, height & 0x3FFF
    return None


def first_bitstream(data: bytes) -> bytes:
    """The kind of the first chunk with pixels: ``VP8L``, ``VP8 `` (lossy) or ``ANMF`` (a frame of either)."""
    return next((kind for kind, _ in _chunks(data) if kind in {b"VP8L", b"VP8 ", b"ANMF"}), b"")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and the first bytes of each chunk."""
    offset = len(b"RIFF....WEBP")
    while offset + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, offset)
        yield kind, data[offset + 8 : offset + 8 + min(length, 16)]
        offset += 8 + length + length % 2
