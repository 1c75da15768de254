"""A network over a picture a few rows at a time, with the very numbers of the whole.

Cutting a picture into tiles makes a network see borders that are not there, and overlap to hide them costs a third of
the work. Rows can do without both: a 3x3 convolution needs two rows of what came before, no more. So every feature map
keeps the last rows that somebody still needs, new rows go down the whole trunk, and each layer is one row behind
the one before it. Nothing is computed twice, and what comes out is what one pass over the whole picture gives,
up to the order in which a convolution adds. The idea is that of line buffers in video hardware (Alwani et al. 2016,
"Fused-layer CNN accelerators"); memory grows with the width of the picture alone.

Feature maps are held as (rows, W, C), which is channels-last: any run of rows is one piece of memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from models.engine.trunk import Layer, Streamable
from models.engine.watch import Watch

TAIL_PIXELS = (
    12_000  # of the folded picture at a time: the tail's maps are 16 times that size and should fit the caches
)


class FeatureRows:
    """The rows of one feature map that are still needed, with a row of zeros above the first and below the last."""

    def __init__(self) -> None:
        self.end = 0  # rows [.., end) have arrived
        self._first = -1  # row number of the top row held; -1 is the padding above the picture
        self._held: Tensor | None = None

    def append(self, rows: Tensor, *, is_last: bool) -> None:
        """Take (n, W, C) more rows; with the last ones comes the padding below."""
        zeros = rows.new_zeros(1, *rows.shape[1:])
        parts = [zeros if self._held is None else self._held, rows, *([zeros] if is_last else [])]
        self._held = torch.cat(parts)
        self.end += len(rows)

    def between(self, first: int, stop: int) -> Tensor:
        """Rows [first, stop) as a view."""
        assert self._held is not None  # noqa: S101  nobody asks before rows have arrived
        return self._held[first - self._first : stop - self._first]

    def forget(self, before: int) -> None:
        """Nobody needs the rows above ``before`` any more."""
        if self._held is not None and before > self._first:
            # A copy, because a view would keep all of it alive.
            self._held = self._held[before - self._first :].clone()
            self._first = before


class RowStream:
    """One pass of a network over one picture, fed from the top.

    Args:
        network: on its device, in its number format and channels-last.
        height: of the folded picture that will come.
        watch: asked before every convolution, told of the work as pixels of the unfolded picture.
    """

    def __init__(self, network: Streamable, height: int, watch: Watch) -> None:
        self._network = network
        self._height = height
        self._watch = watch
        self._layers = network.layers()
        self._maps = [FeatureRows() for _ in range(len(self._layers) + 1)]
        self._step = 0  # rows of the largest push
        self._done = 0  # rows of the last map that went through the tail
        self._shares = work_shares(self._layers)
        self._users = users_of(self._layers)
        self._forget_after = last_uses(self._layers)

    def push(self, lq: Tensor) -> Iterator[Tensor]:
        """Give the next rows of the picture; take what they complete.

        Args:
            lq: (1, 3, h, W) in [0, 1], h and W multiples of ``unshuffle``.

        Yields:
            (1, 3, n, W * scale), the next rows of the result, not clamped; never an empty one.
        """
        folded = _to_rows(self._network.fold(lq))
        self._step = max(self._step, len(folded))
        self._put(0, folded)
        while self._sweep():
            yield from self._finish()

    def _sweep(self) -> bool:
        """Take what has arrived down the trunk, by no more rows than one push has; False if nothing moved.

        After the last push every layer is as many rows behind as it is deep: all at once would be a flood.
        """
        moved = False
        for index, layer in enumerate(self._layers, start=1):
            moved = self._run(index, layer) or moved
            for used in self._forget_after[index]:
                self._maps[used].forget(self._still_needed(used))
        return moved

    def _put(self, index: int, rows: Tensor) -> None:
        feature_map = self._maps[index]
        feature_map.append(rows, is_last=feature_map.end + len(rows) == self._height)

    def _run(self, index: int, layer: Layer) -> bool:
        """The next rows of one layer; False if it has to wait for others."""
        start = self._maps[index].end
        stop = min(self._complete(layer), start + self._step)
        if stop <= start:
            return False
        self._watch.check()
        seen = [self._maps[number].between(start - 1, stop + 1) for number in layer.inputs]
        rows = _convolve(seen[0] if len(seen) == 1 else torch.cat(seen, dim=2), layer)
        for number, weight in layer.shortcuts:
            rows = torch.add(self._maps[number].between(start, stop), rows, alpha=weight)
        self._put(index, rows)
        pixels = rows.shape[0] * rows.shape[1] * self._network.unshuffle**2
        self._watch.finished(self._shares[index - 1] * pixels)
        return True

    def _complete(self, layer: Layer) -> int:
        """Rows [.., this) of the layer can be computed from what has arrived."""
        arrived = min(self._maps[number].end for number in layer.inputs)
        return arrived if arrived == self._height else arrived - 1

    def _still_needed(self, index: int) -> int:
        """The first row of a map that a layer, or the tail, has still to see."""
        first = min((self._maps[user].end - 1 for user in self._users[index]), default=self._maps[index].end)
        if index in {0, len(self._layers)}:
            first = min(first, self._done - self._network.tail_reach)
        return max(first, -1)

    def _finish(self) -> Iterator[Tensor]:
        """Rows of the result whose surroundings are complete."""
        last = self._maps[-1]
        reach = self._network.tail_reach
        stop = self._height if last.end == self._height else last.end - reach
        if stop <= self._done:
            return
        top, bottom = max(0, self._done - reach), min(self._height, stop + reach)
        features, folded = last.between(top, bottom), self._maps[0].between(top, bottom)
        yield self._enlarge(features, folded, self._done - top, stop - top)
        self._done = stop
        for index in (0, len(self._layers)):
            self._maps[index].forget(self._still_needed(index))

    def _enlarge(self, features: Tensor, folded: Tensor, first: int, stop: int) -> Tensor:
        """The tail over rows [first, stop) of what it is shown, a few columns at a time."""
        width, reach, factor = features.shape[1], self._network.tail_reach, self._factor
        step = max(1, TAIL_PIXELS // features.shape[0])
        columns: list[Tensor] = []
        for left in range(0, width, step):
            self._watch.check()
            right = min(left + step, width)
            begin, end = max(0, left - reach), min(width, right + reach)
            sr = self._network.tail(_to_maps(features[:, begin:end]), _to_maps(folded[:, begin:end]))
            rows = slice(first * factor, stop * factor)
            columns.append(sr[..., rows, (left - begin) * factor : (right - begin) * factor])
        return columns[0] if len(columns) == 1 else torch.cat(columns, dim=3)

    @property
    def _factor(self) -> int:
        return self._network.scale * self._network.unshuffle


def work_shares(layers: tuple[Layer, ...]) -> list[float]:
    """How much of a trunk's work each layer is; they add up to one."""
    work = [layer.conv.weight.numel() for layer in layers]
    return [part / sum(work) for part in work]


def users_of(layers: tuple[Layer, ...]) -> list[list[int]]:
    """The layers that see each map, as an input or a shortcut, in order; none for the last map."""
    users: list[list[int]] = [[] for _ in range(len(layers) + 1)]
    for number, layer in enumerate(layers, start=1):
        for index in {*layer.inputs, *(index for index, _ in layer.shortcuts)}:
            users[index].append(number)
    return users


def last_uses(layers: tuple[Layer, ...]) -> list[list[int]]:
    """After layer k, rows of these maps may be forgotten: no later layer sees them, the tail's aside."""
    forgotten: list[list[int]] = [[] for _ in range(len(layers) + 1)]
    for index, users in enumerate(users_of(layers)):
        if users:
            forgotten[users[-1]].append(index)
    return forgotten


def _convolve(seen: Tensor, layer: Layer) -> Tensor:
    """(n + 2, W, C) with its padding rows to (n, W, C')."""
    made = functional.conv2d(_to_maps(seen), layer.conv.weight, layer.conv.bias, padding=(0, 1))
    return _to_rows(made if layer.activate is None else layer.activate(made))


def _to_maps(rows: Tensor) -> Tensor:
    """(h, W, C) as (1, C, h, W) channels-last, without copying where the rows lie together."""
    return rows.permute(2, 0, 1).unsqueeze(0).contiguous(memory_format=torch.channels_last)


def _to_rows(maps: Tensor) -> Tensor:
    """(1, C, h, W) as (h, W, C), without copying if it is channels-last."""
    return maps.squeeze(0).permute(1, 2, 0).contiguous()
