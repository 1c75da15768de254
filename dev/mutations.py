"""Ways to spoil a picture file that a decoder might not expect: blindly, and knowing how files are built."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random

Mutation = Callable[[bytes, Random, Sequence[bytes]], bytes]
"""Takes a file, a source of chance, and other files to take parts of; gives a spoiled one."""

# Lengths, sizes and counts that overflow, wrap or are taken for something else.
MAGIC_NUMBERS = (0, 1, 2, 7, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1)
DICTIONARY = (
    b"\xff\xd8\xff\xe0", b"\xff\xd9", b"\xff\xda", b"\xff\xc0", b"\xff\xc2", b"\xff\xc4", b"\xff\xdb", b"\xff\xdd",
    b"\xff\xe1", b"\xff\xe2", b"\xff\xee", b"Exif\0\0", b"II*\0", b"MM\0*", b"ICC_PROFILE\0", b"MPF\0", b"Adobe",
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"cICP", b"iTXt", b"zTXt",
    b"RIFF", b"WEBP", b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"EXIF", b"XMP ", b"GIF89a",
    b"\x21\xf9\x04", b"\x2c", b"\x3b", b"BM", b"ftyp", b"meta", b"pitm", b"iloc", b"iinf", b"iprp", b"ipco", b"ipma",
    b"ispe", b"irot", b"imir", b"clap", b"colr", b"nclx", b"prof", b"av1C", b"hvcC", b"auxC", b"grid", b"mdat", b"heic",
    b"avif", b"mif1",
)  # fmt: skip
MOST_BLOCKS = 4000  # of one file that are told apart


def mutate(data: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    """Spoil a file one to four times; checksums of a PNG are mostly made right again, so that more is reached."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        data = chance.choice(MUTATIONS)(data, chance, others)
    if data.startswith(b"\x89PNG") and chance.random() < 0.8:
        data = with_right_checksums(data)
    return data


def flip_bits(data: bytes, chance: Random, _others: Sequence[bytes]) -> bytes:
    """1 to 32 bits."""
    spoiled = bytearray(data)
    for _ in range(chance.choice((1, 2, 4, 32))):
        if spoiled:
            spoiled[_place(spoiled, chance)] ^= 1 << chance.randrange(8)
    return bytes(spoiled)


def write_number(data: bytes, chance: Random, _others: Sequence[bytes]) -> bytes:
    """A number at the edge of something, in either order of bytes."""
    number, form = chance.choice(MAGIC_NUMBERS), chance.choice((">I", "<I", ">H", "<H", "B"))
    packed = struct.pack(form, number & (1 << 8 * struct.calcsize(form)) - 1)
    at = _place(data, chance)
    return data[:at] + packed + data[at + len(packed) :]


def write_word(data: bytes, chance: Random, _others: Sequence[bytes]) -> bytes:
    """A word of some format, over or between what is there."""
    word, at = chance.choice(DICTIONARY), _place(data, chance)
    return data[:at] + word + data[at + chance.choice((0, len(word))) :]


def truncate(data: bytes, chance: Random, _others: Sequence[bytes]) -> bytes:
    """Cut the end off."""
    return data[: chance.randrange(len(data) + 1)]


def remove(data: bytes, chance: Random, _others: Sequence[bytes]) -> bytes:
    """Cut a piece out."""
    at = _place(data, chance)
    return data[:at] + data[at + _length(data, chance) :]


def repeat(data: bytes, chance: Random, _others: Sequence[bytes]) -> bytes:
    """The same piece several times."""
    at = _place(data, chance)
    piece = data[at : at + _length(data, chance)]
    return data[:at] + piece * chance.choice((2, 3, 20)) + data[at + len(piece) :]


def fill(data: bytes, chance: Random, _others: Sequence[bytes]) -> bytes:
    """A piece of one value, or of chance."""
    at, length = _place(data, chance), _length(data, chance)
    values = chance.randbytes(length) if chance.random() < 0.5 else bytes([chance.choice((0, 255))]) * length
    return data[:at] + values + data[at + length :]


def cross(data: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    """The start of one file, the end of another."""
    other = chance.choice(others)
    return data[: _place(data, chance)] + other[_place(other, chance) :]


def splice_blocks(data: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    """Blocks of the format left out, doubled, moved, or taken from a file of the same kind."""
    mine = blocks(data)
    if len(mine) < 2:
        return flip_bits(data, chance, others)
    at, what = chance.randrange(len(mine)), chance.randrange(4)
    if what == 0:
        del mine[at]
    elif what == 1:
        mine[at:at] = [mine[at]] * chance.choice((1, 2, 50))
    elif what == 2:
        mine.insert(chance.randrange(len(mine)), mine.pop(at))
    else:
        akin = [other for other in others if other[:3] == data[:3]] or [data]
        mine.insert(at, chance.choice(blocks(chance.choice(akin)) or [b""]))
    return b"".join(mine)


def stretch_block(data: bytes, chance: Random, others: Sequence[bytes]) -> bytes:
    """Another length in the head of a block."""
    mine = blocks(data)
    at = chance.randrange(max(1, len(mine)))
    if len(mine) < 2 or len(mine[at]) < 4:
        return write_number(data, chance, others)
    number, form = chance.choice((*MAGIC_NUMBERS, len(data))), ">H" if mine[at][:1] == b"\xff" else ">I"
    start = 2 if form == ">H" else 4 if data.startswith(b"RIFF") else 0
    packed = struct.pack(form, number & (1 << 8 * struct.calcsize(form)) - 1)
    packed = packed[::-1] if data.startswith(b"RIFF") else packed
    mine[at] = mine[at][:start] + packed + mine[at][start + len(packed) :]
    return b"".join(mine)


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits, flip_bits, write_number, write_number, write_word, truncate, remove, repeat, fill, cross,
    splice_blocks, splice_blocks, stretch_block,
)  # fmt: skip


def blocks(data: bytes) -> list[bytes]:
    """The parts a file of a known format consists of; together they are the file."""
    if data.startswith(b"\x89PNG"):
        return _cut(data, 8, lambda at: 12 + int.from_bytes(data[at : at + 4]))
    if data.startswith(b"RIFF"):
        return _cut(data, 12, lambda at: 8 + -(-int.from_bytes(data[at + 4 : at + 8], "little") // 2) * 2)
    if data[4:8] == b"ftyp":
        return _cut(data, 0, lambda at: int.from_bytes(data[at : at + 4]))
    if data.startswith(b"\xff\xd8"):
        return _cut(data, 2, lambda at: 2 + int.from_bytes(data[at + 2 : at + 4]) if data[at] == 255 else 0)
    return [data[at : at + 64] for at in range(0, min(len(data), 64 * MOST_BLOCKS), 64)]


def _cut(data: bytes, start: int, length_at: Callable[[int], int]) -> list[bytes]:
    parts, at = [data[:start]] if start else [], start
    while at < len(data) and len(parts) < MOST_BLOCKS:
        length = length_at(at)
        if length < 2 or at + length > len(data):
            break
        parts.append(data[at : at + length])
        at += length
    return [*parts, data[at:]] if at < len(data) else parts


def with_right_checksums(data: bytes) -> bytes:
    """A PNG whose chunks all have the checksum they should."""
    head, *chunks = blocks(data)
    right = []
    for chunk in chunks:
        whole = len(chunk) >= 12 and len(chunk) == 12 + int.from_bytes(chunk[:4])
        right.append(chunk[:-4] + struct.pack(">I", zlib.crc32(chunk[4:-4])) if whole else chunk)
    return head + b"".join(right)


def _place(data: bytes | bytearray, chance: Random) -> int:
    """Heads are where decisions are made: half of all places are in the first kilobyte."""
    within = min(len(data), 1024) if chance.random() < 0.5 else len(data)
    return chance.randrange(max(1, within))


def _length(data: bytes, chance: Random) -> int:
    return chance.choice((1, 2, 4, 16, 256, max(1, len(data) // 4)))
