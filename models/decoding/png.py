"""The chunks of a PNG: what its pixels are, and everything that is not needed to read them left out.

Texts can be thousands, or unpack to gigabytes, and one wrong checksum in any of them makes Pillow refuse the whole
picture. None of them is wanted, so none reaches Pillow.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from models.pixels import Pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP = b"XML:com.adobe.xmp\0\0"  # not compressed; its orientation counts where there is no EXIF
MAX_XMP = 1_000_000  # bytes
MAX_PROFILE = 1 << 20  # bytes; Pillow's own limit
MAX_TRANSPARENT = 256  # entries of a palette; libraries that check ignore longer lists, Pillow gives up
KEPT = {b"tRNS", b"iCCP", b"sRGB", b"pHYs", b"eXIf"}  # of those that can be done without
MEASURED = {b"gAMA": 1, b"cHRM": 8}  # what colours mean, in 32-bit numbers
GRAYS = (0, 4)  # colour types without and with alpha
PALETTE = 3
# Adam7, the order of an interlaced picture: first column and row of each pass, and how far apart they are.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
PIECE = 1 << 18  # bytes; rows are unpacked from and to that much at a time


@dataclass(frozen=True, slots=True)
class PngFile:
    """A PNG with nothing but its picture.

    Args:
        data: the file for the decoder: critical chunks as they were, and of the others those that matter here.
        depth: bits per sample.
        colour: 0 gray, 2 RGB, 3 palette, 4 gray with alpha, 6 RGB with alpha.
        animated: there are further frames.
        cicp: code points of primaries and transfer function (ITU-T H.273), if the file has them.
        lost_profile: it had a colour profile, but a broken one.
        size_wh: width and height.
        interlaced: the pixels come in seven passes.
        gamma: exponent of the curve from light to levels, times 100,000, if nothing in the file outranks it.
        chromaticities: x and y of red, green, blue and white, on the same condition.
    """

    data: bytes
    depth: int
    colour: int
    animated: bool
    cicp: tuple[int, int] | None
    lost_profile: bool
    size_wh: tuple[int, int]
    interlaced: bool
    gamma: int | None
    chromaticities: tuple[float, ...] | None

    def check_palette(self) -> None:
        """Refuse numbers of colours without the colours; Pillow makes all of it black.

        Raises:
            ValueError: there is no palette.
        """
        if self.colour == PALETTE and not any(chunk.kind == b"PLTE" for chunk in _chunks(self.data)):
            raise ValueError("it has no palette")

    def check_rows(self, last: Pixels) -> None:
        """Refuse a picture whose compressed rows end properly, but before it does: decoders leave the rest zero.

        Args:
            last: its last row as decoded. Where anything of it is not zero nothing can be missing, unless the rows
                come in passes, and nothing has to be unpacked again.

        Raises:
            ValueError: with both numbers of bytes.
        """
        if not self.interlaced and last.any():
            return
        needed, there = self._row_bytes(), 0
        unpacker = zlib.decompressobj()
        for piece in self._packed():
            packed = piece
            while packed and there < needed:
                try:
                    there += len(unpacker.decompress(packed, PIECE))
                except zlib.error:  # which the decoder has refused, if it did any harm
                    return
                packed = unpacker.unconsumed_tail
        if there < needed:
            raise ValueError(f"{there:,} of {needed:,} bytes of its rows are there")

    def _packed(self) -> Iterator[bytes]:
        """The compressed rows, in pieces short enough to be copied."""
        for chunk in _chunks(self.data):
            if chunk.kind == b"IDAT":
                for at in range(chunk.start + 8, chunk.stop - 4, PIECE):
                    yield self.data[at : min(at + PIECE, chunk.stop - 4)]

    def _row_bytes(self) -> int:
        """How many bytes all rows have, each with its filter's number in front."""
        width, height = self.size_wh
        bits = self.depth * (1 if self.colour == PALETTE else self.samples)
        total = 0
        for left, top, across, down in PASSES if self.interlaced else ((0, 0, 1, 1),):
            columns, rows = -(-(width - left) // across), -(-(height - top) // down)
            if columns > 0 and rows > 0:
                total += rows * (1 + -(-columns * bits // 8))
        return total

    @property
    def is_gray(self) -> bool:
        """One channel and perhaps alpha."""
        return self.colour in GRAYS

    @property
    def samples(self) -> int:
        """Channels with alpha."""
        return {0: 1, 2: 3, 4: 2, 6: 4}.get(self.colour, 3)


@dataclass(frozen=True, slots=True)
class _Chunk:
    kind: bytes
    start: int
    stop: int  # of the whole chunk, checksum included

    def body(self, data: bytes) -> bytes:
        return data[self.start + 8 : self.stop - 4]

    def is_whole(self, data: bytes) -> bool:
        checksum = int.from_bytes(data[self.stop - 4 : self.stop])
        return zlib.crc32(data[self.start + 4 : self.stop - 4]) == checksum

    @property
    def is_critical(self) -> bool:
        return not self.kind[0] & 0x20


def read_png(data: bytes) -> PngFile:
    """Look through the chunks; a file that is damaged comes out damaged, for the decoder to refuse."""
    parts, stop, animated, cicp, profiles = [SIGNATURE], len(SIGNATURE), False, None, {True: 0, False: 0}
    numbers: dict[bytes, tuple[int, ...]] = {}
    is_srgb = False
    for chunk in _chunks(data):
        if chunk.is_critical:
            parts.append(data[chunk.start : chunk.stop])
        elif chunk.kind == b"acTL":
            animated = int.from_bytes(chunk.body(data)[:4]) > 1
        elif chunk.kind == b"cICP" and chunk.is_whole(data) and len(chunk.body(data)) == 4:
            cicp = (chunk.body(data)[0], chunk.body(data)[1])
        elif chunk.kind in MEASURED:
            numbers.setdefault(chunk.kind, _numbers(chunk, data))
        elif chunk.kind == b"iCCP":
            good = _is_wanted(chunk, data) and not profiles[True]
            profiles[good] += 1
            parts += [data[chunk.start : chunk.stop]] * good
        elif _is_wanted(chunk, data):
            is_srgb = is_srgb or chunk.kind == b"sRGB"
            parts.append(data[chunk.start : chunk.stop])
        stop = chunk.stop
    parts.append(data[stop:])  # a chunk that is cut off, so that the decoder sees that it is
    header = data.ljust(29, b"\0")
    gamma, points = numbers.get(b"gAMA"), numbers.get(b"cHRM")
    return PngFile(
        b"".join(parts),
        header[24],
        header[25],
        animated,
        cicp,
        lost_profile=bool(profiles[False]),
        size_wh=(int.from_bytes(header[16:20]), int.from_bytes(header[20:24])),
        interlaced=header[28] == 1,
        gamma=gamma[0] if gamma and not is_srgb else None,
        chromaticities=_red_first(points) if points and not is_srgb else None,
    )


def _numbers(chunk: _Chunk, data: bytes) -> tuple[int, ...]:
    """The numbers a chunk consists of; none where it has another length than it must have, or is damaged."""
    body = chunk.body(data)
    if len(body) != 4 * MEASURED[chunk.kind] or not chunk.is_whole(data):
        return ()
    return struct.unpack(f">{MEASURED[chunk.kind]}I", body)


def _red_first(points: tuple[int, ...]) -> tuple[float, ...]:
    """Chromaticities as the rest of this package has them; a PNG has white first."""
    return tuple(point / 100_000 for point in (*points[2:], *points[:2]))


def _is_wanted(chunk: _Chunk, data: bytes) -> bool:
    if chunk.kind == b"iTXt":
        is_xmp = data.startswith(XMP, chunk.start + 8) and chunk.stop - chunk.start < MAX_XMP
        return is_xmp and chunk.is_whole(data)
    if chunk.kind not in KEPT or not chunk.is_whole(data):
        return False
    if chunk.kind == b"tRNS":
        return len(chunk.body(data)) <= MAX_TRANSPARENT
    return chunk.kind != b"iCCP" or _unpacks_to_a_profile(chunk.body(data))


def _unpacks_to_a_profile(body: bytes) -> bool:
    """Whether a compressed profile is whole and not absurdly large."""
    name_end = body.find(b"\0", 0, 80)
    if name_end < 0 or body[name_end + 1 : name_end + 2] != b"\0":
        return False
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(body[name_end + 2 :], MAX_PROFILE)
    except zlib.error:
        return False
    return unpacker.eof


def _chunks(data: bytes) -> Iterator[_Chunk]:
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        stop = at + 12 + length
        if stop > len(data) or not kind.isalpha():
            return
        yield _Chunk(kind, at, stop)
        at = stop
        if kind == b"IEND":
            return
