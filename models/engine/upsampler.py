"""A whole picture through a network, a few rows at a time, into an integer picture of any size.

Networks that describe their layers are streamed (``models.engine.rows``): there are no tiles, so there are no seams. A
picture too wide for the memory is cut into slabs of columns with more overlap than can be told from none. Any other
network, and the reference's own way of cutting, goes window by window. Either way rows are checked, resampled and
rounded as they come, and what is held in memory is the final picture, never a larger one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from models.engine.checks import PATCH, statistics, verdict
from models.engine.device import Engine
from models.engine.resample import LOBES, RowResampler
from models.engine.rows import RowStream
from models.engine.tiling import Placement, Region, Tile, batches, round_up, shifted_spans, tile_grid
from models.engine.trunk import Streamable, is_streamable
from models.engine.watch import ForwardWatch, Watch, before_each_convolution, multiplications
from models.errors import OutOfMemory, SpoiledTile
from models.pixels import Pixels

LUMA = (0.299, 0.587, 0.114)  # BT.601, as OpenCV weighs R, G and B into gray
OPENCV_NO_MEMORY = "(-4:"  # cv::Error::StsNoMem, as its messages have it
# All that oneDNN says where it gets no memory for its code or its notes; what it cannot do is about descriptors.
ONEDNN_NO_MEMORY = frozenset(
    {"could not create a primitive", "could not create a memory object", "could not execute a primitive"}
)
PROBE = 8  # px; side of the picture that a network is measured on, a multiple of any pixel-unshuffle


@dataclass(frozen=True, kw_only=True, slots=True)
class Tiling:
    """How a picture is cut: see :class:`models.options.RestoreOptions` for the meaning of each.

    ``rows`` is how many go through at a time where the network is streamed; 0: ``tile``, or all of them.
    """

    tile: int
    overlap: int
    rows: int = 0
    border: int = 0
    placement: Placement = "streamed"
    batch: int = 1


@dataclass(frozen=True, slots=True)
class Band:
    """Rows of a network's answer, float32 (3, n * scale, w * scale), and where they lie in the bordered picture."""

    sr: Tensor
    y: int
    x: int


class Upsampler:
    """One network on one device; used by one thread at a time.

    Args:
        network: maps (N, 3, H, W) in [0, 1] to (N, 3, H * scale, W * scale). Is moved to the engine's device,
            number format and channels-last memory, and set to evaluation.
        scale: what the network does.
        engine: where and how it runs.
        align: input sides must be multiples of it.
    """

    def __init__(self, network: nn.Module, *, scale: int, engine: Engine, align: int = 1) -> None:
        self.scale = scale
        self.align = align
        self.engine = engine
        with out_of_memory_named():
            self.network = network.eval().requires_grad_(requires_grad=False)
            self.network.to(engine.device, engine.dtype)
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs lack it
        self.work_per_pixel = self._measure_work()

    def __call__(
        self, lq: Pixels, tiling: Tiling, watch: Watch | None = None, *, size_wh: tuple[int, int] | None = None
    ) -> Pixels:
        """Enlarge a picture.

        Args:
            lq: (H, W) gray or (H, W, 3) RGB, uint8 or uint16, at least 1x1; left untouched. Gray is shown to
                the network as three equal channels, whose answer is weighed back into one.
            tiling: how to cut it.
            watch: told about every input pixel of every window (:meth:`windows_pixels` in all).
            size_wh: of the result; ``scale`` times the input unless given.

        Returns:
            The same layout and depth at that size.

        Raises:
            SpoiledTile: the network answered with no numbers, black, one colour or another picture.
            OutOfMemory: the device or the host ran out of memory.
            RestorationStopped: ``watch`` said so.
        """
        height, width = lq.shape[:2]
        watch = watch or Watch(total=self.windows_pixels(height, width, tiling))
        with out_of_memory_named(), torch.inference_mode():
            canvas = Canvas(lq, self.scale, size_wh or (width * self.scale, height * self.scale))
            if self.is_streamed(tiling):
                tiling = replace(tiling, overlap=max(tiling.overlap, canvas.reach))
            padded = reflect(lq, tiling.border, align=self.align)
            for slab in self._slabs(padded.shape[1], tiling):
                self._fill(canvas, padded, slab, tiling, watch)
        return canvas.pixels

    def windows_pixels(self, height: int, width: int, tiling: Tiling) -> int:
        """Input pixels the network will see for a picture of this size, overlap and border included."""
        rows, columns = (round_up(side + 2 * tiling.border, self.align) for side in (height, width))
        if self.is_streamed(tiling):
            return sum(slab.padded.width for slab in self._slabs(columns, tiling)) * rows
        return sum(tile.padded.pixels for tile in self._grid(rows, columns, tiling))

    def is_streamed(self, tiling: Tiling) -> bool:
        """Whether a picture goes through in rows, in slabs perhaps, and not in tiles."""
        return tiling.placement == "streamed" and is_streamable(self.network)

    def _slabs(self, columns: int, tiling: Tiling) -> tuple[Tile, ...]:
        """Columns of the bordered picture that go through together; only a streamed picture has more than one slab."""
        tile = tiling.tile if self.is_streamed(tiling) else 0
        spans = shifted_spans(columns, tile or columns, round_up(tiling.overlap, self.align), self.align)
        return tuple(
            Tile(
                Region(0, span.core_start, 1, span.core_stop - span.core_start),
                Region(0, span.window_start, 1, span.window_stop - span.window_start),
            )
            for span in spans
        )

    def _grid(self, height: int, width: int, tiling: Tiling) -> tuple[Tile, ...]:
        return tile_grid(
            height,
            width,
            tile=tiling.tile,
            overlap=tiling.overlap,
            align=self.align,
            placement=tiling.placement,
        )

    def _fill(self, canvas: Canvas, padded: Pixels, slab: Tile, tiling: Tiling, watch: Watch) -> None:
        """One slab; a GPU computes the next rows while the host writes the ones before."""
        writer = SlabWriter(canvas, padded, slab, tiling.border, self.scale)
        bands = self._streamed(padded, slab, tiling, watch) if self.is_streamed(tiling) else None
        for band in bands or self._tiled(padded, tiling, watch):
            writer.take(band)
        writer.close()

    def _streamed(self, padded: Pixels, slab: Tile, tiling: Tiling, watch: Watch) -> Iterator[Band]:
        height, window = padded.shape[0], slab.padded
        step = round_up(tiling.rows or tiling.tile or height, self.align)
        stream = RowStream(cast("Streamable", self.network), height // self.align, watch)
        y = 0
        for top in range(0, height, step):
            watch.check()
            rows = padded[top : top + step, window.x : window.x + window.width]
            for sr in stream.push(self._to_network(rows[None])):
                yield Band(sr[0].to(torch.float32), y, window.x)
                y += sr.shape[2] // self.scale

    def _tiled(self, padded: Pixels, tiling: Tiling, watch: Watch) -> Iterator[Band]:
        """The cores of each row of tiles, put together."""
        forward = ForwardWatch(watch, self.work_per_pixel)
        with before_each_convolution(self.network, forward):
            for y, row in groupby(self._grid(padded.shape[0], padded.shape[1], tiling), key=lambda tile: tile.core.y):
                cores: list[Tensor] = []
                for batch in batches(tuple(row), tiling.batch):
                    watch.check()
                    sr = self.network(self._to_network(np.stack([padded[tile.padded.slices] for tile in batch])))
                    for answer, tile in zip(sr, batch, strict=True):
                        rows, columns = tile.core_in_padded.scaled(self.scale).slices
                        cores.append(answer[:, rows, columns].to(torch.float32))
                    forward.end_of_forward(sum(tile.padded.pixels for tile in batch))
                yield Band(torch.cat(cores, dim=2), y, 0)

    def _to_network(self, lq: Pixels) -> Tensor:
        """(N, H, W) or (N, H, W, 3) integers to (N, 3, H, W) in [0, 1], in memory already channels-last."""
        most = float(np.iinfo(lq.dtype).max)
        on_cuda = self.engine.device.type == "cuda"
        host = torch.from_numpy(np.ascontiguousarray(lq))
        if on_cuda:
            host = host.pin_memory()
        there = host.to(self.engine.device, non_blocking=on_cuda).to(torch.float32).div_(most)
        if there.ndim == 3:
            there = there.unsqueeze(-1).expand(-1, -1, -1, 3)
        ready = there.to(self.engine.dtype).permute(0, 3, 1, 2)
        return ready.contiguous(memory_format=torch.channels_last)

    def _measure_work(self) -> float:
        """Multiplications of all convolutions per input pixel; 0 for a network without any."""
        work: list[float] = []
        probe = torch.zeros(1, 3, PROBE, PROBE, device=self.engine.device, dtype=self.engine.dtype)
        with (
            out_of_memory_named(),
            torch.inference_mode(),
            before_each_convolution(self.network, lambda conv, lq: work.append(multiplications(conv, lq))),
        ):
            self.network(probe)
        return sum(work) / PROBE**2


class Canvas:
    """The final picture while it is being filled."""

    def __init__(self, lq: Pixels, scale: int, size_wh: tuple[int, int]) -> None:
        self.dtype = lq.dtype
        self.lq_hw = lq.shape[:2]
        self.sr_hw = (lq.shape[0] * scale, lq.shape[1] * scale)
        self.hw = size_wh[::-1]
        self.pixels: Pixels = np.empty((*self.hw, *lq.shape[2:]), lq.dtype)

    @property
    def reach(self) -> int:
        """Columns of the input beyond a slab's core that its part of the canvas is made of."""
        if self.hw == self.sr_hw:
            return 0
        # Half of the Lanczos taps, or of the area that one pixel covers when the picture gets much smaller.
        farthest = max(LOBES, self.sr_hw[1] / self.hw[1] / 2 + 2)
        columns: int = math.ceil(farthest * self.lq_hw[1] / self.sr_hw[1])  # arrays know no types of their sides
        return columns

    def columns_of(self, left: int, right: int) -> tuple[int, int]:
        """Columns whose centres lie in [left, right) of the network's result."""
        ratio = self.hw[1] / self.sr_hw[1]
        return round(left * ratio), round(right * ratio)


@dataclass(frozen=True, slots=True)
class Arriving:
    """Levels (C, n, w) and the numbers that judge them, on their way to the host."""

    levels: Tensor
    numbers: Tensor | None
    row: int
    arrived: torch.cuda.Event | None


class SlabWriter:
    """Takes the bands of one slab from the top, and writes them where they belong.

    What is on its way from a GPU is written when the next band has been launched, so that neither waits for the other.
    """

    def __init__(self, canvas: Canvas, padded: Pixels, slab: Tile, border: int, scale: int) -> None:
        self._canvas, self._padded, self._border, self._scale = canvas, padded, border, scale
        height, width = canvas.lq_hw
        core = slab.core.intersection(Region(0, border, 1, width))
        left, right = (0, 0) if core is None else (core.x - border, core.x + core.width - border)
        self._columns = canvas.columns_of(left * scale, right * scale)
        # A slab of nothing but reflected border, or one so narrow that no pixel of a smaller result lies in it.
        self._is_empty = self._columns[0] == self._columns[1]
        if self._is_empty:
            return
        reach = canvas.reach
        # Where resampling looks beyond the core, the slab's overlap has what is there.
        self._left, self._right = max(0, left - reach), min(width, right + reach)
        self._resampler = (
            RowResampler(canvas.sr_hw, canvas.hw, left=self._left * scale, columns=self._columns) if reach else None
        )
        self._rows = (border, border + height)
        self._made = 0
        self._waiting: Iterable[Arriving] = ()

    def take(self, band: Band) -> None:
        """Check, resample and round the next rows; write those before them."""
        if self._is_empty:
            return
        first, stop = max(band.y, self._rows[0]), min(band.y + band.sr.shape[1] // self._scale, self._rows[1])
        if stop <= first:
            return
        x = self._left + self._border
        own = (first - band.y, stop - band.y), (x - band.x, self._right + self._border - band.x)
        rows, columns = (slice(begin * self._scale, end * self._scale) for begin, end in own)
        sr = band.sr[:, rows, columns]
        columns = slice(x, self._right + self._border)
        lq = self._padded[first:stop, columns]
        around = self._padded[max(0, first - PATCH) : stop + PATCH, columns]
        numbers = self._home(statistics(sr, _as_planes(lq), _as_planes(around)))
        sr = sr.clamp(0.0, 1.0)
        if lq.ndim == 2:
            sr = torch.tensordot(sr.new_tensor(LUMA), sr, dims=1).unsqueeze(0)
        made: Iterable[Tensor] = (sr,) if self._resampler is None else self._resampler.push(sr)
        launched: Iterable[tuple[Tensor, int]] = map(self._round, made)
        if band.sr.device.type == "cuda":
            launched = list(launched)
        event = _landmark(band.sr)
        self._write()
        levels = (Arriving(levels, None, row, event) for levels, row in launched)
        self._waiting = chain((Arriving(numbers, numbers, first - self._border, event),), levels)
        if event is None:
            # A piece at a time, which nobody has made yet: rows that grow are many times those that are pushed.
            self._write()

    def close(self) -> None:
        """Write what is still on its way."""
        if not self._is_empty:
            self._write()

    def _round(self, rows: Tensor) -> tuple[Tensor, int]:
        most = float(np.iinfo(self._canvas.dtype).max)
        # Through int32, because torch rounds to uint16 on few devices.
        kind = torch.uint8 if self._canvas.dtype == np.uint8 else torch.int32
        levels = rows.mul(most).clamp_(0.0, most).round_().to(kind)
        row, self._made = self._made, self._made + levels.shape[1]
        return self._home(levels.permute(1, 2, 0)), row

    def _home(self, value: Tensor) -> Tensor:
        if value.device.type != "cuda":
            return value
        buffer = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
        return buffer.copy_(value, non_blocking=True)

    def _write(self) -> None:
        for item in self._waiting:
            if item.arrived is not None:
                item.arrived.synchronize()
            if item.numbers is not None:
                if wrong := verdict(item.numbers):
                    raise SpoiledTile(f"the network gave {wrong} for the rows from y={item.row}, x={self._left}")
                continue
            levels = item.levels.numpy()
            target = self._canvas.pixels[item.row : item.row + len(levels), slice(*self._columns)]
            target[...] = levels[..., 0] if target.ndim == 2 else levels
        self._waiting = ()


def _as_planes(lq: Pixels) -> Tensor:
    """(H, W) or (H, W, 3) integers to (3, H, W) float32 in [0, 1] on the host."""
    levels = torch.from_numpy(lq.astype(np.float32)).div_(float(np.iinfo(lq.dtype).max))
    return levels.expand(3, *levels.shape) if levels.ndim == 2 else levels.permute(2, 0, 1)


def _landmark(sr: Tensor) -> torch.cuda.Event | None:
    if sr.device.type != "cuda":
        return None
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()
    return event


def reflect(lq: Pixels, border: int, *, align: int = 1) -> Pixels:
    """Mirror a picture outwards without repeating its edge, as often as a small one needs it.

    Adds ``border`` pixels on every side and what is missing to a multiple of ``align`` at the bottom and right.
    """
    sides = [(border, border + round_up(n + 2 * border, align) - (n + 2 * border)) for n in lq.shape[:2]]
    if not any(map(any, sides)):
        return lq
    return np.pad(lq, [*sides, *[(0, 0)] * (lq.ndim - 2)], mode="reflect")


@contextmanager
def out_of_memory_named() -> Iterator[None]:
    """Turn the ways of running out of memory, torch's, NumPy's and OpenCV's, into OutOfMemory."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as exc:
        raise OutOfMemory(f"out of memory: {_first_line(exc)}") from exc
    except cv2.error as exc:
        # OpenCV writes the code to the class of its errors, where the next one overwrites it; the message is its own.
        if OPENCV_NO_MEMORY in str(exc):
            raise OutOfMemory(f"out of memory: {_first_line(exc)}") from exc
        raise
    except RuntimeError as exc:
        # On the CPU torch has no class of its own for this; the allocator's name is all there is, or oneDNN's words.
        if "DefaultCPUAllocator" in str(exc) or _first_line(exc) in ONEDNN_NO_MEMORY:
            raise OutOfMemory(f"out of memory: {_first_line(exc)}") from exc
        raise


def _first_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0]
