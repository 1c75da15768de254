"""Rows of the network's result to rows of the size that was asked for, as they come.

A result four times the size of a large photograph would fill gigabytes before it is made smaller again. So rows are
resampled on their way, on the device that made them, and nothing larger than the final picture is ever held. The
kernels are those of Real-ESRGAN's ``outscale`` (OpenCV's INTER_LANCZOS4: 8 taps, not stretched when the picture gets
smaller), and the mean of the covered area below a quarter of the size, where eight taps no longer cover a pixel. In
floating point throughout: nothing is rounded between network and result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.resize import LEAST_FOR_LANCZOS

LOBES = 4  # of the Lanczos window
CHUNK = 64  # output rows or columns at a time: a small dense matrix is faster than eight sparse taps


@dataclass(frozen=True, slots=True)
class Taps:
    """One axis: output k is the sum of ``weights[k, t] * input[first[k] + t]``, inputs beyond the ends repeated."""

    first: NDArray[np.int64]
    weights: NDArray[np.float64]
    length: int

    @classmethod
    def of(cls, length: int, new_length: int) -> Taps:
        """Taps from ``length`` samples to ``new_length``, pixel areas aligned at both ends."""
        ratio = length / new_length
        if new_length / length < LEAST_FOR_LANCZOS:
            return cls(*_area(ratio, new_length), length)
        return cls(*_lanczos(ratio, new_length), length)

    def needed(self, start: int, stop: int) -> tuple[int, int]:
        """Input samples [first, last) that output [start, stop) is made of."""
        last = int(self.first[stop - 1]) + self.weights.shape[1]
        return max(0, int(self.first[start])), min(self.length, max(last, 1))

    def matrix(self, start: int, stop: int) -> Tensor:
        """Dense float32 (stop - start, samples of :meth:`needed`)."""
        begin, end = self.needed(start, stop)
        dense = np.zeros((stop - start, end - begin))
        count = self.weights.shape[1]
        columns = np.clip(self.first[start:stop, None] + np.arange(count), begin, end - 1) - begin
        np.add.at(dense, (np.arange(stop - start)[:, None], columns), self.weights[start:stop])
        return torch.from_numpy(dense.astype(np.float32))


class RowResampler:
    """One pass over a picture's rows, or over a slab of its columns.

    Args:
        src_hw: the whole picture that comes, as rows of the network's result.
        dst_hw: the whole picture that is wanted.
        left: column of the source that the first column of the rows given is.
        columns: columns [.., ..) of the wanted picture to make; all of them unless given.
    """

    def __init__(
        self, src_hw: tuple[int, int], dst_hw: tuple[int, int], *, left: int = 0, columns: tuple[int, int] | None = None
    ) -> None:
        self._rows, self._columns = Taps.of(src_hw[0], dst_hw[0]), Taps.of(src_hw[1], dst_hw[1])
        self._height = dst_hw[0]
        self._left = left
        self._range = columns or (0, dst_hw[1])
        self._held: Tensor | None = None
        self._first = 0  # source row that the first row held is
        self._made = 0

    def push(self, rows: Tensor) -> Iterator[Tensor]:
        """Give (C, n, w) float32 rows of the source; take (C, k, columns) rows that they complete."""
        # What was put together gets no name, or it would stay alive while others take the rows.
        held = self._held
        self._held = self._across(rows) if held is None else torch.cat((held, self._across(rows)), dim=1)
        del held
        arrived = self._first + self._held.shape[1]
        while self._made < self._height:
            stop = self._last_ready(arrived)
            if stop <= self._made:
                break
            begin, end = self._rows.needed(self._made, stop)
            window = self._held[:, begin - self._first : end - self._first]
            yield self._rows.matrix(self._made, stop).to(rows.device) @ window
            self._made = stop
        self._forget()

    def _last_ready(self, arrived: int) -> int:
        stop = min(self._made + CHUNK, self._height)
        while stop > self._made and self._rows.needed(stop - 1, stop)[1] > arrived:
            stop -= 1
        return stop

    def _across(self, rows: Tensor) -> Tensor:
        start, stop = self._range
        parts = []
        for begin in range(start, stop, CHUNK):
            end = min(begin + CHUNK, stop)
            first, last = self._columns.needed(begin, end)
            matrix = self._columns.matrix(begin, end).to(rows.device)
            parts.append(rows[..., first - self._left : last - self._left] @ matrix.T)
        return torch.cat(parts, dim=-1)

    def _forget(self) -> None:
        if self._made >= self._height:
            self._held = None
        if self._held is None:
            return
        needed = self._rows.needed(self._made, self._made + 1)[0]
        drop = min(needed - self._first, self._held.shape[1])
        if drop > 0:
            self._held = self._held[:, drop:].clone()
            self._first += drop


def _lanczos(ratio: float, new_length: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    centres = (np.arange(new_length) + 0.5) * ratio - 0.5
    first = np.floor(centres).astype(np.int64) - (LOBES - 1)
    distance = centres[:, None] - (first[:, None] + np.arange(2 * LOBES))
    weights = np.sinc(distance) * np.sinc(distance / LOBES)
    return first, weights / weights.sum(axis=1, keepdims=True)


def _area(ratio: float, new_length: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    begin = np.arange(new_length) * ratio
    first = np.floor(begin).astype(np.int64)
    samples = first[:, None] + np.arange(int(np.ceil(ratio)) + 1)
    covered = np.minimum(samples + 1, begin[:, None] + ratio) - np.maximum(samples, begin[:, None])
    return first, np.clip(covered, 0, None) / ratio
