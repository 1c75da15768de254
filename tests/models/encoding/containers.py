"""Strict walkers over the files we write: every length, checksum and order is looked at."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

NO_BODY = {*range(0xD0, 0xD8), 0xD8, 0xD9}


class Segment(NamedTuple):
    marker: int
    body: bytes


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and body of every chunk; every CRC right, nothing after IEND, IDATs without anything between."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, offset = [], 8
    while offset < len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        body = data[offset + 8 : offset + 8 + length]
        assert len(body) == length
        assert data[offset + 8 + length : offset + 12 + length] == struct.pack(">I", zlib.crc32(kind + body))
        chunks.append((kind, body))
        offset += 12 + length
    kinds = [kind for kind, _ in chunks]
    assert (kinds[0], kinds[-1], kinds.count(b"IEND")) == (b"IHDR", b"IEND", 1)
    first = kinds.index(b"IDAT")
    assert set(kinds[first:-1]) == {b"IDAT"}
    return chunks


def png_stream(data: bytes) -> bytes:
    """What the one zlib stream of all IDATs holds; its checksum right, nothing behind it."""
    stream = zlib.decompressobj()
    raw = stream.decompress(b"".join(body for kind, body in png_chunks(data) if kind == b"IDAT"))
    assert stream.eof
    assert (stream.unused_data, stream.unconsumed_tail) == (b"", b"")
    return raw


def jpeg_segments(data: bytes) -> tuple[list[Segment], list[bytes]]:
    """Every segment up to the scan, and the scan's restart intervals, whose markers count 0 to 7 and over again."""
    assert data[:2] == b"\xff\xd8"
    segments, offset = [], 2
    while not segments or segments[-1].marker != 0xDA:
        assert data[offset] == 0xFF
        marker = data[offset + 1]
        assert marker not in NO_BODY
        (length,) = struct.unpack_from(">H", data, offset + 2)
        segments.append(Segment(marker, data[offset + 4 : offset + 2 + length]))
        offset += 2 + length
    intervals, start = [], offset
    while True:
        offset = data.index(b"\xff", offset)
        marker = data[offset + 1]
        if marker == 0:  # a byte of data that is 0xFF
            offset += 2
            continue
        intervals.append(data[start:offset])
        offset += 2
        start = offset
        if marker == 0xD9:
            break
        assert marker == 0xD0 + (len(intervals) - 1) % 8
    assert offset == len(data)
    return segments, intervals


def webp_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and body of every chunk; RIFF's length is the file's."""
    assert (data[:4], data[8:12]) == (b"RIFF", b"WEBP")
    assert struct.unpack_from("<I", data, 4)[0] + 8 == len(data)
    chunks, offset = [], 12
    while offset < len(data):
        kind, length = struct.unpack_from("<4sI", data, offset)
        chunks.append((kind, data[offset + 8 : offset + 8 + length]))
        assert len(chunks[-1][1]) == length
        offset += 8 + length + length % 2
    assert offset == len(data)
    return chunks
