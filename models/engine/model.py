"""One network ready to work: its upsamplers, what it costs, and what is tried before a picture is given up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import nn

from models.engine.device import Engine, pick_engine
from models.engine.memory import LEAST_ROWS, Appetite, free_bytes, plan_cut
from models.engine.tiling import Placement
from models.engine.trunk import is_streamable
from models.engine.upsampler import Tiling, Upsampler
from models.engine.watch import Watch
from models.errors import OutOfMemory, SpoiledTile
from models.pixels import Pixels

logger = logging.getLogger(__name__)

CALIBRATION_SIDE = 96  # px; half a second of RealESRGAN_x4plus on two cores
# How far a cut in a picture can be seen by RealESRGAN_x4plus: at 112 px the mean difference is a ten-thousandth of a
# level, as much as anywhere. See docs/engine.md for the curve.
LARGEST_OVERLAP = 112  # px
PLAIN_TILE = 256  # px; for networks that are not streamed
PLAIN_OVERLAP = 16
LEAST_TILE = 64  # px; smaller ones spend more on overlap than on the picture


@dataclass(frozen=True, kw_only=True, slots=True)
class CutWishes:
    """How the caller wants a picture cut; None leaves it to the machine. See ``RestoreOptions`` for the meaning."""

    tile: int | None = None
    overlap: int | None = None
    border: int = 0
    placement: Placement = "streamed"


class Model:
    """A network on a device. Used by one thread at a time.

    Args:
        name: for the records.
        load: gives the network in float32; called once now, and again should another number format or device be needed.
        engine: where and in which number format to run.
        digest: SHA-256 of its weights, for the records.
    """

    def __init__(self, name: str, load: Callable[[], nn.Module], engine: Engine, *, digest: str = "") -> None:
        self.name = name
        self.digest = digest
        self._load = load
        self._engine = engine
        self._upsamplers = {engine: make_upsampler(load(), engine)}
        self._seconds_per_pixel: dict[Engine, float] = {}
        self.calibrate()

    @property
    def scale(self) -> int:
        """What the network does to each side."""
        return self._upsamplers[self._engine].scale

    @property
    def seconds_per_pixel(self) -> float:
        """Of what the network sees, in the engine's own number format; measured at first and by every picture since."""
        return self._seconds_per_pixel[self._engine]

    def calibrate(self, engine: Engine | None = None) -> None:
        """Warm up, then time one small picture."""
        engine = engine or self._engine
        upsampler, tiling = self._upsampler(engine), Tiling(tile=0, overlap=0)
        lq = np.random.default_rng(0).integers(0, 256, (CALIBRATION_SIDE, CALIBRATION_SIDE, 3), np.uint8)
        lq = np.ascontiguousarray(np.repeat(np.repeat(lq[::16, ::16], 16, axis=0), 16, axis=1))  # something to see
        upsampler(lq, tiling)
        start = time.perf_counter()
        upsampler(lq, tiling)
        self._seconds_per_pixel[engine] = (time.perf_counter() - start) / CALIBRATION_SIDE**2

    def engine_for(self, *, precise: bool) -> Engine:
        """16 bits are not to be had from a number format with 8 (bfloat16) or 11 (float16)."""
        if not precise or self._engine.dtype == torch.float32:
            return self._engine
        return replace(self._engine, dtype=torch.float32, reason="float32 is needed")

    def tiling(self, size_wh: tuple[int, int], wishes: CutWishes, engine: Engine, *, reserved_bytes: int = 0) -> Tiling:
        """How a picture is cut for this network on that engine.

        Args:
            size_wh: of what the network will see.
            wishes: of the caller.
            engine: of :meth:`engine_for`.
            reserved_bytes: of main memory that something else will need.

        Raises:
            OutOfMemory: no way of cutting it fits; the message has the numbers.
        """
        upsampler = self._upsampler(engine)
        streamed = wishes.placement == "streamed" and is_streamable(upsampler.network)
        overlap = wishes.overlap
        if overlap is None:
            overlap = hidden_overlap(upsampler.network) if streamed else PLAIN_OVERLAP
        tile, rows = wishes.tile, wishes.tile or 0
        if tile is None and not streamed:
            tile = PLAIN_TILE
        if tile is None:
            width, height = (side + 2 * wishes.border for side in size_wh)
            free = free_bytes(engine)
            cut = plan_cut(
                Appetite.of(upsampler.network, engine.dtype.itemsize),
                height=height, width=width, overlap=overlap,
                free=None if free is None else free - reserved_bytes,
                device=engine.device.type, itemsize=engine.dtype.itemsize,
            )  # fmt: skip
            tile, rows = cut.slab, cut.rows
        return Tiling(tile=tile, overlap=overlap, rows=rows, border=wishes.border, placement=wishes.placement)

    def work(self, size_wh: tuple[int, int], tiling: Tiling) -> int:
        """Input pixels that the network will see."""
        return self._upsamplers[self._engine].windows_pixels(size_wh[1], size_wh[0], tiling)

    def seconds(self, work: int, *, precise: bool = False) -> float:
        """Expected for that much work."""
        return work * self._pace(self.engine_for(precise=precise))

    def upscale(
        self, lq: Pixels, tiling: Tiling, watch: Watch, *, size_wh: tuple[int, int], precise: bool = False
    ) -> tuple[Pixels, Engine]:
        """Enlarge a plane, whatever the machine does meanwhile.

        When memory runs out, with half the rows and half the slab, or half the tile, down to the least; then on the
        CPU. When what came out cannot be right, once more in float32.

        Args:
            lq: see :class:`models.engine.upsampler.Upsampler`.
            tiling: of :meth:`tiling`.
            watch: its fractions never fall, whatever is done again.
            size_wh: of the result.
            precise: in float32 from the start.

        Returns:
            The enlarged plane and the engine that made it.

        Raises:
            OutOfMemory: even the least needs more than there is.
            SpoiledTile: in float32, too.
            RestorationStopped: the caller's wish.
        """
        mark, engine, cut = watch.done, self.engine_for(precise=precise), tiling
        while True:
            watch.rewind(mark)
            start = time.perf_counter()
            try:
                made = self._upsampler(engine)(lq, cut, watch, size_wh=size_wh)
            except (OutOfMemory, SpoiledTile) as exc:
                by_rows = self._upsampler(engine).is_streamed(cut)
                another = after_failure(exc, engine, cut, longest_side=max(lq.shape[:2]), by_rows=by_rows)
                if another is None:
                    raise
                logger.warning("%s: %s; trying again: %s", self.name, exc, another[0].reason)
                engine, cut = another
            else:
                self._learn(engine, time.perf_counter() - start, self.work((lq.shape[1], lq.shape[0]), cut))
                return made, engine
            if engine.device.type == "cuda":
                torch.cuda.empty_cache()

    def _upsampler(self, engine: Engine) -> Upsampler:
        if engine not in self._upsamplers:
            self._upsamplers[engine] = make_upsampler(self._load(), engine)
        return self._upsamplers[engine]

    def _pace(self, engine: Engine) -> float:
        if engine not in self._seconds_per_pixel:
            self.calibrate(engine)
        return self._seconds_per_pixel[engine]

    def _learn(self, engine: Engine, seconds: float, work: int) -> None:
        """Let a real picture, if it was not too small to say anything, correct what the short calibration found."""
        pace = seconds / work
        if engine not in self._seconds_per_pixel:
            self._seconds_per_pixel[engine] = pace
        elif work >= CALIBRATION_SIDE**2:
            self._seconds_per_pixel[engine] = (self._seconds_per_pixel[engine] + pace) / 2


def make_upsampler(network: nn.Module, engine: Engine) -> Upsampler:
    """An upsampler for any of our networks, which say themselves what they do to a picture's sides."""
    return Upsampler(network, scale=cast("int", network.scale), align=cast("int", network.unshuffle), engine=engine)


def hidden_overlap(network: nn.Module) -> int:
    """How much overlap makes a cut invisible: all that the network sees, or all that matters of it."""
    layers = cast("Callable[[], tuple[object, ...]]", network.layers)()
    depth = {0: 0}
    for number, layer in enumerate(layers, start=1):
        depth[number] = 1 + max(depth[index] for index in layer.inputs)  # type: ignore[attr-defined]
    seen = (depth[len(layers)] + cast("int", network.tail_reach)) * cast("int", network.unshuffle)
    return min(seen, LARGEST_OVERLAP)


def after_failure(
    failure: OutOfMemory | SpoiledTile, engine: Engine, cut: Tiling, *, longest_side: int, by_rows: bool
) -> tuple[Engine, Tiling] | None:
    """What to try next; None when there is nothing left to try. ``by_rows``: see :func:`halved`."""
    if isinstance(failure, OutOfMemory):
        smaller = halved(cut, longest_side, by_rows=by_rows)
        if smaller is not None:
            return replace(engine, reason="less at a time"), smaller
    elif engine.dtype != torch.float32:
        return replace(engine, dtype=torch.float32, reason="in float32"), cut
    if engine.device.type == "cpu":
        return None
    return replace(pick_engine("cpu", "float32"), reason="on the CPU"), cut


def halved(tiling: Tiling, longest_side: int, *, by_rows: bool) -> Tiling | None:
    """The same with half the rows, then half the slab; None when both are as small as they get.

    Args:
        tiling: what was too much.
        longest_side: of the picture.
        by_rows: whether it is streamed; tiles have no rows that could be fewer.
    """
    rows = min(tiling.rows or tiling.tile or longest_side, longest_side)
    if by_rows and rows > LEAST_ROWS:
        return replace(tiling, rows=max(LEAST_ROWS, rows // 2), tile=tiling.tile, batch=1)
    tile = min(tiling.tile or longest_side, longest_side)
    return replace(tiling, tile=max(LEAST_TILE, tile // 2), rows=rows, batch=1) if tile > LEAST_TILE else None
