"""Where decoded pixels go: written in strips as the file has them, upright when they are read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.pixels import Depth, Pixels

Bytes = NDArray[np.uint8]
Allocate = Callable[[int], Bytes]
"""Takes a number of bytes, gives that much memory, writable, of any content."""

STRIP = 64  # rows are worked on at a time: in caches, and without large temporaries


def private_memory(length: int) -> Bytes:
    """Memory of this process."""
    return np.empty(length, np.uint8)


class Canvas:
    """Pixels and perhaps alpha, one behind the other in one piece of memory.

    Args:
        size_wh: of the picture as stored.
        orientation: EXIF's, 1 to 8, that is undone while writing.
        channels: 1 or 3.
        dtype: uint8 or uint16.
        with_alpha: whether there is a plane of alpha.
        allocate: gives the memory.
    """

    def __init__(
        self,
        size_wh: tuple[int, int],
        orientation: int,
        *,
        channels: int,
        dtype: Depth,
        with_alpha: bool,
        allocate: Allocate,
    ) -> None:
        width, height = size_wh if orientation <= 4 else size_wh[::-1]
        self._area, self._dtype = width * height, dtype
        colours = self._area * channels * dtype.itemsize
        planes = self._area * dtype.itemsize if with_alpha else 0
        self._memory = allocate(colours + planes)
        shape = (height, width) if channels == 1 else (height, width, channels)
        self.pixels: Pixels = self._memory[:colours].view(dtype).reshape(shape)
        self.alpha: Pixels | None = self._plane(colours, (height, width)) if with_alpha else None
        self._stored = as_stored(self.pixels, orientation)
        self._stored_alpha = None if self.alpha is None else as_stored(self.alpha, orientation)
        self.is_neutral = channels == 3

    def _plane(self, start: int, shape: tuple[int, int]) -> Pixels:
        return self._memory[start : start + self._area * self._dtype.itemsize].view(self._dtype).reshape(shape)

    def write(self, top: int, colours: Pixels, alpha: Pixels | None, *, is_neutral: bool) -> None:
        """Take rows as the file stores them.

        Args:
            top: number of the first of them.
            colours: (rows, W) or (rows, W, 3).
            alpha: (rows, W), if there is a plane for it.
            is_neutral: red, green and blue are equal everywhere in them.
        """
        self._stored[top : top + len(colours)] = colours
        if self._stored_alpha is not None and alpha is not None:
            self._stored_alpha[top : top + len(colours)] = alpha
        self.is_neutral = self.is_neutral and is_neutral

    def narrow(self) -> None:
        """Leave one channel of three that are equal; the memory behind what remains is not used any more."""
        shape = self.pixels.shape[:2]
        flat, gray = self.pixels.reshape(-1, 3), self._plane(0, shape).reshape(-1)
        step = STRIP * shape[1]
        for start in range(0, self._area, step):  # forwards: nothing is overwritten that is still to be read
            gray[start : start + step] = flat[start : start + step, 1].copy()
        if self.alpha is not None:
            moved = self._plane(self._area * self._dtype.itemsize, shape)
            for row in range(0, shape[0], STRIP):
                moved[row : row + STRIP] = self.alpha[row : row + STRIP].copy()
            self.alpha = moved
        self.pixels = self._plane(0, shape)


def as_stored(upright: Pixels, orientation: int) -> Pixels:
    """A view of an upright (H, W, ...) array, to be written in the order of a file with an EXIF orientation."""
    if orientation in {3, 4, 7, 8}:
        upright = upright[::-1]
    if orientation in {2, 3, 6, 7}:
        upright = upright[:, ::-1]
    return upright.swapaxes(0, 1) if orientation > 4 else upright


def turn(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation (1 to 8) of an (H, W, ...) array; the result is contiguous."""
    shape = pixels.shape if orientation <= 4 else (pixels.shape[1], pixels.shape[0], *pixels.shape[2:])
    upright = np.empty(shape, pixels.dtype)
    as_stored(upright, orientation)[...] = pixels
    return upright


def are_equal(colours: Pixels) -> bool:
    """Whether red, green and blue of (..., 3) are the same everywhere."""
    green = colours[..., 1]
    return bool(np.array_equal(colours[..., 0], green) and np.array_equal(green, colours[..., 2]))
