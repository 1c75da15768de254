"""A whole picture through a network, tile by tile, into an integer canvas.

The flow follows RealESRGANer.enhance (https://github.com/xinntao/Real-ESRGAN): reflect, cut into tiles, clamp,
round. It differs where that is better: the picture is reflected on all four sides, not two; every answer is
checked; a failing tile fails the picture instead of leaving the previous tile's pixels in its place; and what is
held in memory is the result in its final depth, never a picture-sized float array.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models.engine.device import Engine
from models.engine.tiling import Placement, Region, Tile, batches, round_up, tile_grid
from models.engine.watch import ForwardWatch, Watch, before_each_convolution, multiplications
from models.errors import OutOfMemory, SpoiledTile
from models.pixels import Pixels

LUMA = (0.299, 0.587, 0.114)  # BT.601, as OpenCV weighs R, G and B into gray
PROBE = 8  # px; side of the picture that a network is measured on, a multiple of any pixel-unshuffle


@dataclass(frozen=True, kw_only=True, slots=True)
class Tiling:
    """How a picture is cut: see :class:`models.options.RestoreOptions` for the meaning of each."""

    tile: int
    overlap: int
    border: int = 0
    placement: Placement = "shifted"
    batch: int = 1


class TiledUpsampler:
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

    def __call__(self, lq: Pixels, tiling: Tiling, watch: Watch | None = None) -> Pixels:
        """Enlarge a picture.

        Args:
            lq: (H, W) gray or (H, W, 3) RGB, uint8 or uint16, at least 1x1; left untouched. Gray is shown to
                the network as three equal channels, whose answer is weighed back into one.
            tiling: how to cut it.
            watch: told about every input pixel of every window (:meth:`windows_pixels` in all).

        Returns:
            The same layout and depth, ``scale`` times as large.

        Raises:
            SpoiledTile: the network answered with something other than finite numbers.
            OutOfMemory: the device or the host ran out of memory.
            RestorationStopped: ``watch`` said so.
        """
        watch = watch or Watch(total=self.windows_pixels(lq.shape[0], lq.shape[1], tiling))
        forward = ForwardWatch(watch, self.work_per_pixel)
        with out_of_memory_named(), torch.inference_mode(), before_each_convolution(self.network, forward):
            return self._run(lq, tiling, watch, forward)

    def windows_pixels(self, height: int, width: int, tiling: Tiling) -> int:
        """Input pixels the network will see for a picture of this size, overlap and border included."""
        return sum(tile.padded.pixels for tile in self._grid(height, width, tiling))

    def _grid(self, height: int, width: int, tiling: Tiling) -> tuple[Tile, ...]:
        grid = tile_grid(
            round_up(height + 2 * tiling.border, self.align),
            round_up(width + 2 * tiling.border, self.align),
            tile=tiling.tile,
            overlap=tiling.overlap,
            align=self.align,
            placement=tiling.placement,
        )
        inner = Region(tiling.border, tiling.border, height, width)
        cut = ((tile, tile.core.intersection(inner)) for tile in grid)
        return tuple(Tile(core, tile.padded) for tile, core in cut if core is not None)

    def _run(self, lq: Pixels, tiling: Tiling, watch: Watch, forward: ForwardWatch) -> Pixels:
        height, width = lq.shape[:2]
        border = tiling.border
        padded = reflect(lq, border, align=self.align)
        canvas = np.empty((height * self.scale, width * self.scale, *lq.shape[2:]), lq.dtype)
        waiting: Answer | None = None  # a GPU computes the next batch while the host writes this one
        for batch in batches(self._grid(height, width, tiling), tiling.batch):
            watch.check()
            answer = self._launch(padded, batch)
            forward.end_of_forward(sum(tile.padded.pixels for tile in batch))
            if waiting is not None:
                waiting.write(canvas, self.scale, border)
            waiting = answer
        if waiting is not None:
            waiting.write(canvas, self.scale, border)
        return canvas

    def _launch(self, padded: Pixels, batch: tuple[Tile, ...]) -> Answer:
        lq = np.stack([padded[tile.padded.slices] for tile in batch])
        most = float(np.iinfo(lq.dtype).max)
        sr = self.network(self._to_network(lq, most))
        cores = [self._to_host(sr[index], tile, lq, most) for index, tile in enumerate(batch)]
        return Answer(batch, cores, self._landmark())

    def _to_network(self, lq: Pixels, most: float) -> Tensor:
        """(N, H, W) or (N, H, W, 3) integers to (N, 3, H, W) in [0, 1], in memory already channels-last."""
        host = torch.from_numpy(lq)
        if self._on_cuda:
            host = host.pin_memory()
        there = host.to(self.engine.device, non_blocking=self._on_cuda).to(torch.float32).div_(most)
        if there.ndim == 3:
            there = there.unsqueeze(-1).expand(-1, -1, -1, 3)
        ready = there.to(self.engine.dtype).permute(0, 3, 1, 2)
        return ready.contiguous(memory_format=torch.channels_last)

    def _to_host(self, sr: Tensor, tile: Tile, lq: Pixels, most: float) -> tuple[Tensor, Tensor]:
        """The core of one answer (3, H, W) as integers, and whether the answer was finite, both on the host."""
        rows, columns = tile.core_in_padded.scaled(self.scale).slices
        finite = torch.isfinite(sr).all()
        core = sr[:, rows, columns].to(torch.float32).clamp(0.0, 1.0)
        gray = lq.ndim == 3  # batch, height, width
        core = torch.tensordot(core.new_tensor(LUMA), core, dims=1) if gray else core.permute(1, 2, 0)
        # Through int32, because torch rounds to uint16 on few devices.
        level = core.mul(most).round_()
        whole = level.to(torch.uint8 if lq.dtype == np.uint8 else torch.int32)
        return self._home(whole), self._home(finite)

    def _home(self, value: Tensor) -> Tensor:
        if not self._on_cuda:
            return value
        buffer = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
        return buffer.copy_(value, non_blocking=True)

    def _landmark(self) -> torch.cuda.Event | None:
        if not self._on_cuda:
            return None
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        return event

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

    @property
    def _on_cuda(self) -> bool:
        return self.engine.device.type == "cuda"


@dataclass(frozen=True, slots=True)
class Answer:
    """The cores of one batch on their way to the host."""

    tiles: tuple[Tile, ...]
    cores: list[tuple[Tensor, Tensor]]  # integers (H, W) or (H, W, 3); one boolean: all were finite
    arrived: torch.cuda.Event | None

    def write(self, canvas: Pixels, scale: int, border: int) -> None:
        """Wait for the pixels and put them where they belong; SpoiledTile if they are no numbers."""
        if self.arrived is not None:
            self.arrived.synchronize()
        for tile, (core, finite) in zip(self.tiles, self.cores, strict=True):
            place = Region(tile.core.y - border, tile.core.x - border, tile.core.height, tile.core.width)
            if not finite.item():
                raise SpoiledTile(f"the network gave no numbers for the tile at x={place.x}, y={place.y}")
            canvas[place.scaled(scale).slices] = core.numpy()


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
    """Turn the three ways of running out of memory into OutOfMemory."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as exc:
        raise OutOfMemory(f"out of memory: {_first_line(exc)}") from exc
    except RuntimeError as exc:
        # On the CPU torch has no class of its own for this; the allocator's name is all there is.
        if "DefaultCPUAllocator" in str(exc):
            raise OutOfMemory(f"out of memory: {_first_line(exc)}") from exc
        raise


def _first_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0]
