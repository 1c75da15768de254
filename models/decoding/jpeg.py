"""What a JPEG is, and whether its picture is all there, by its markers."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from models.decoding import scans
from models.errors import UnsupportedFormat

ANEW = "save it anew as an ordinary JPEG or PNG"
SOI, SOS, EOI = 0xD8, 0xDA, 0xD9
APP2, PROFILE = 0xE2, b"ICC_PROFILE\0"
FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # SOF markers; 0xF7 is JPEG-LS
HUFFMAN = {0xC0, 0xC1, 0xC2}  # baseline, extended and progressive
ARITHMETIC = {0xC9, 0xCA}
LOSSLESS = {0xC3}  # not JPEG-LS, which is another format
MISSING = {127, 128}  # levels of what libjpeg makes of blocks it has no data for; 127 is an inverted ink
# Stands in for data that are missing, for the blocks it makes are all but gray: bytes, and each of the marks that may
# have to come first.
PADDING = b"".join(bytes(range(1, 255)) + bytes([0xFF, mark]) for mark in range(0xD0, 0xD8)) + bytes(range(1, 255))
# A marker: 0xFF that is neither a stuffed byte of the pixels, nor filling, nor a restart mark.
MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")


@dataclass(frozen=True, slots=True)
class Frame:
    """What the header of the pixels says (SOF).

    Args:
        kind: its marker, 0xC0 for baseline.
        depth: bits of a sample.
        channels: of the picture.
    """

    kind: int
    depth: int
    channels: int

    def check(self) -> None:
        """Refuse kinds that libjpeg does not read, or Pillow does not ask it for."""
        if self.kind not in HUFFMAN | ARITHMETIC | LOSSLESS:
            raise UnsupportedFormat(f"a JPEG file of this kind (JPEG-LS, or in several sizes) is not read here; {ANEW}")
        if self.depth != 8:
            raise UnsupportedFormat(f"a JPEG file of {self.depth} bits is not read here, only of 8; {ANEW}")
        if self.channels not in {1, 3, 4}:
            raise UnsupportedFormat(
                f"a JPEG file of {self.channels} channels is not read here, only of 1, 3 and 4; {ANEW}"
            )


def frame(data: bytes) -> Frame | None:
    """The header of a file's first picture; None where there is none."""
    for marker, at in _markers(data):
        if marker in FRAMES and at + 8 <= len(data):
            return Frame(kind=marker, depth=data[at + 2], channels=data[at + 7])
        if marker == SOS:
            break
    return None


def has_profile(data: bytes) -> bool:
    """Whether there is any part of a colour profile in front of the pixels."""
    for marker, at in _markers(data):
        if marker == APP2 and data.startswith(PROFILE, at + 2):
            return True
        if marker == SOS:
            break
    return False


def count_scans(data: bytes, *, enough: int) -> int:
    """Number of scans (SOS segments) of the first picture in a file, counted in one pass.

    Args:
        data: a file that starts with a JPEG; what follows its end is not looked at.
        enough: counting stops above this number.

    Returns:
        The number, or ``enough + 1``. Damaged files are walked the way libjpeg does: on to the next marker.
    """
    scans = 0
    for marker, _ in _markers(data):
        scans += marker == SOS
        if scans > enough:
            break
    return scans


def check_end(data: bytes, image: Image.Image) -> None:
    """Refuse a picture whose pixels end before it does, though an end was put behind them.

    libjpeg fills such a picture with gray and only warns, which nobody hears. So one that ends in just this gray is
    decoded twice more, at an eighth of its size: the second time with something in front of its end. Of a whole
    picture that is not looked at. Arithmetic coding may leave out zeros at its end, so nothing is said about it.
    Details that a picture in several scans lacks leave no gray; for those there is :func:`watch_scans`.

    Args:
        data: the file.
        image: loaded from it.

    Raises:
        ValueError: pixels are missing.
    """
    last = image.getpixel((image.width - 1, image.height - 1))
    if not set(last if isinstance(last, tuple) else (last,)) <= MISSING:
        return
    end = _huffman_end(data)
    if end is None:
        return
    pixels = memoryview(data)[:end]
    if not np.array_equal(_small(pixels, b"\xff\xd9"), _small(pixels, PADDING, b"\xff\xd9")):
        raise ValueError("the picture ends before its last rows")


def watch_scans(data: bytes, image: Image.Image) -> None:
    """Let the loading of a picture in several scans end with ValueError where it stops within the last of them.

    A file that ends properly behind one of its scans, be it a coarse one, is a whole picture: viewers show it so.

    Args:
        data: the file.
        image: opened from it, not loaded yet.
    """
    end = _huffman_end(data)
    if end is not None and count_scans(data, enough=1) > 1:
        scans.watch(image, data, end)


def _huffman_end(data: bytes) -> int | None:
    """Offset of the marker that ends the pixels; None where none does, or they are coded in another way."""
    found = frame(data)
    if found is None or found.kind not in HUFFMAN:
        return None
    return next((at - 2 for marker, at in _markers(data) if marker == EOI), None)


def _small(*parts: bytes | memoryview) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The picture at about an eighth of its size, which takes next to no memory, and no time for its details."""
    with Image.open(io.BytesIO(b"".join(parts)), formats=("JPEG",)) as image:
        image.draft(image.mode, (max(1, image.width // 8), max(1, image.height // 8)))
        return np.asarray(image)


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Each marker up to the end of the first picture, and the offset behind it."""
    at = 2  # after SOI
    while found := MARKER.search(data, at):
        marker, at = found[1][0], found.end()
        yield marker, at
        if marker == EOI:
            return
        if marker != SOI:  # every other one has a length
            at += max(2, int.from_bytes(data[at : at + 2]))
