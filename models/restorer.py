"""The way of one picture: decode, enlarge, resize, encode.

restorer = Restorer.open("RealESRGAN_x4plus", weights_dir=Path("weights"))
restored = restorer.restore(Path("old.jpg").read_bytes(), RestoreOptions(outscale=2))
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from models.encoding import attempts, encode
from models.engine.capacity import MIN_TILE, OVERLAP, default_tile
from models.engine.device import Engine, available_cores, pick_engine
from models.engine.upsampler import TiledUpsampler, Tiling
from models.engine.watch import Progress, ShouldStop, Watch, never_stop, no_progress
from models.errors import ImageTooLarge, OptionsError, OutOfMemory, ResultTooLarge
from models.loading import load_model
from models.options import RestoreOptions
from models.picture import Picture, decode
from models.pixels import Pixels
from models.planes import Planes
from models.resize import result_size

logger = logging.getLogger(__name__)

CALIBRATION_SIDE = 96  # px; half a second of RealESRGAN_x4plus on two cores
REFERENCE_SIDE = 1024  # px; the picture whose share of overlap goes into seconds_per_pixel
UPSCALE_SHARE = 0.95  # of the progress; the rest is resizing and encoding
MAX_THREADS_PER_CORE = 8  # far beyond any use; hundreds of threads on few cores take minutes, thousands crash


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """A restored picture as a file, and how it came to be.

    Args:
        data: the file.
        extension: without a dot: ``png``, ``jpg``, ``webp``.
        mime: such as ``image/png``.
        size_in_wh: width and height of the upright original.
        size_out_wh: width and height of the result.
        model: name of the network.
        device: ``cpu`` or ``cuda:0``.
        dtype: number format that was used for this picture.
        seconds: per stage: decode, upscale, resize, encode, total.
        notices: stable codes of what the owner should be told: ``first_frame_only``, ``profile_ignored``,
            ``format_changed``, ``quality_reduced``, ``depth_reduced``, ``alpha_flattened``.
    """

    data: bytes = field(repr=False)
    extension: str
    mime: str
    size_in_wh: tuple[int, int]
    size_out_wh: tuple[int, int]
    model: str
    device: str
    dtype: str
    seconds: dict[str, float]
    notices: tuple[str, ...] = ()


class Restorer:
    """A network loaded, moved and warmed up. Used by one thread at a time.

    Args:
        model: name for the records.
        load: gives the network in float32; called once now, and once more if a 16-bit picture comes and the
            engine's format is too coarse for it.
        engine: where and in which number format to run.
        threads: that torch may use; for the whole process.
    """

    def __init__(self, model: str, load: Callable[[], nn.Module], *, engine: Engine, threads: int) -> None:
        torch.set_num_threads(threads)
        self.model = model
        self.threads = threads
        self._load = load
        self._engine = engine
        self._upsampler = make_upsampler(load(), engine)
        self._precise: TiledUpsampler | None = None
        self._tile, self._batch = default_tile(engine, self._upsampler.scale)
        self._seconds_per_window_pixel: dict[TiledUpsampler, float] = {}
        self._calibrate(self._upsampler)
        logger.info(
            "%s on %s in %s, %d threads, tile %d, %.1f s per megapixel: %s",
            model, self.device, self.dtype, threads, self._tile, self.seconds_per_pixel * 1e6, engine.reason,
        )  # fmt: skip

    @classmethod
    def open(
        cls,
        model: str,
        *,
        weights_dir: Path,
        device: str = "auto",
        dtype: str = "auto",
        denoise: float | None = None,
        threads: int | None = None,
    ) -> Restorer:
        """Load a network by name.

        Args:
            model: a name of the registry, or of weights brought into the folder.
            weights_dir: the weights folder.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            dtype: ``auto``, ``bfloat16``, ``float16`` or ``float32``.
            denoise: 0 keeps the noise, 1 removes it; for models that have such a control.
            threads: None means the cores this process may use.

        Raises:
            OptionsError: an unknown name, ``denoise`` where it means nothing, no threads or far too many.
            WeightsError: the weights are missing or refused.
            DeviceError: no such device or format here, or no memory for the network.
        """
        most = MAX_THREADS_PER_CORE * available_cores()
        if threads is not None and not 1 <= threads <= most:
            raise OptionsError(f"threads must be 1 to {most} on this machine, not {threads}")
        engine = pick_engine(device, dtype)
        return cls(
            model,
            lambda: load_model(model, weights_dir, denoise=denoise),
            engine=engine,
            threads=threads or available_cores(),
        )

    @property
    def scale(self) -> int:
        """What the network does."""
        return self._upsampler.scale

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda:0``."""
        return str(self._engine.device)

    @property
    def dtype(self) -> str:
        """``bfloat16``, ``float16`` or ``float32``."""
        return self._engine.dtype_name

    @property
    def reason(self) -> str:
        """Why this device and number format, as a sentence."""
        return self._engine.reason

    @property
    def seconds_per_pixel(self) -> float:
        """Per input pixel of a picture cut into tiles: measured when opened, and by every picture since."""
        tiling = self._tiling(RestoreOptions())
        windows = self._upsampler.windows_pixels(REFERENCE_SIDE, REFERENCE_SIDE, tiling)
        return self._seconds_per_window_pixel[self._upsampler] * windows / REFERENCE_SIDE**2

    def restore(
        self,
        data: bytes,
        options: RestoreOptions | None = None,
        *,
        on_progress: Progress = no_progress,
        should_stop: ShouldStop = never_stop,
    ) -> Restored:
        """Restore one picture.

        Args:
            data: the file as it came.
            options: wishes and limits.
            on_progress: called from this thread with rising fractions in [0, 1].
            should_stop: asked about a hundred times per tile; a true answer ends the work.

        Raises:
            ImageError: the picture is at fault, or above a limit.
            DeviceError: the machine is at fault.
            RestorationStopped: ``should_stop`` said so. The restorer can be used again at once.
        """
        options = options or RestoreOptions()
        clock = Stopwatch()
        with clock.stage("decode"):
            picture = decode(data, max_pixels=options.max_input_pixels, max_bytes=options.max_input_bytes)
            planes = Planes.of(picture)
        upsampler, tiling = self._upsampler_for(picture), self._tiling(options)
        work = planes.count * upsampler.windows_pixels(picture.size_wh[1], picture.size_wh[0], tiling)
        size_wh = result_size(picture.size_wh, options.outscale or self.scale)
        self._refuse_too_large(picture, size_wh, options)
        self._refuse_too_slow(picture, upsampler, work, options)
        watch = Watch(total=work, on_progress=lambda done: on_progress(done * UPSCALE_SHARE), should_stop=should_stop)
        with clock.stage("upscale"):
            planes = planes.upscaled(lambda lq: upsample_somehow(upsampler, lq, tiling, watch), self.scale)
        self._learn(upsampler, clock.seconds()["upscale"], work)
        watch.check()
        with clock.stage("resize"):
            result = planes.resized(size_wh).as_picture(picture)
        watch.check()
        with clock.stage("encode"):
            encoded = encode(result, options.output_format, max_bytes=options.max_output_bytes)
        on_progress(1.0)
        return Restored(
            data=encoded.data,
            extension=encoded.extension,
            mime=encoded.mime,
            size_in_wh=picture.size_wh,
            size_out_wh=size_wh,
            model=self.model,
            device=self.device,
            dtype=upsampler.engine.dtype_name,
            seconds=clock.seconds(),
            notices=(*picture.notices, *encoded.notices),
        )

    def _tiling(self, options: RestoreOptions) -> Tiling:
        return Tiling(
            tile=self._tile if options.tile is None else options.tile,
            overlap=OVERLAP if options.overlap is None else options.overlap,
            border=options.border,
            placement=options.placement,
            batch=self._batch if options.tile is None else 1,
        )

    def _upsampler_for(self, picture: Picture) -> TiledUpsampler:
        """16 bits are not to be had from a number format with 8 (bfloat16) or 11 (float16)."""
        if not picture.is_16_bit or self._engine.dtype == torch.float32:
            return self._upsampler
        if self._precise is None:
            engine = replace(self._engine, dtype=torch.float32, reason="16-bit pictures need float32")
            self._precise = make_upsampler(self._load(), engine)
            self._calibrate(self._precise)
        return self._precise

    def _calibrate(self, upsampler: TiledUpsampler) -> None:
        """Warm up, then time one small tile."""
        tiling = Tiling(tile=0, overlap=0)
        lq = np.random.default_rng(0).integers(0, 256, (CALIBRATION_SIDE, CALIBRATION_SIDE, 3), np.uint8)
        upsampler(lq, tiling)
        start = time.perf_counter()
        upsampler(lq, tiling)
        self._seconds_per_window_pixel[upsampler] = (time.perf_counter() - start) / CALIBRATION_SIDE**2

    def _learn(self, upsampler: TiledUpsampler, seconds: float, work: int) -> None:
        """Let a real picture, if it was not too small to say anything, correct what the short calibration found."""
        if work >= CALIBRATION_SIDE**2:
            before = self._seconds_per_window_pixel[upsampler]
            self._seconds_per_window_pixel[upsampler] = (before + seconds / work) / 2

    def _refuse_too_large(self, picture: Picture, size_wh: tuple[int, int], options: RestoreOptions) -> None:
        """Before any work: a result, or the network's output on the way to it, that is too large."""
        width, height = (max(asked, side * self.scale) for asked, side in zip(size_wh, picture.size_wh, strict=True))
        if width * height > options.max_output_pixels:
            raise ResultTooLarge(
                f"{picture.size_wh[0]}x{picture.size_wh[1]} would become {width}x{height}, "
                f"{width * height:,} pixels; the limit is {options.max_output_pixels:,}"
            )
        limited = options.max_output_bytes is not None
        if next(attempts(picture, size_wh, options.output_format, limited=limited), None) is None:
            raise ResultTooLarge(
                f"a result of {size_wh[0]}x{size_wh[1]} has longer sides than {options.output_format} can hold"
            )

    def _refuse_too_slow(self, picture: Picture, upsampler: TiledUpsampler, work: int, options: RestoreOptions) -> None:
        if options.max_seconds is None or work * self._seconds_per_window_pixel[upsampler] <= options.max_seconds:
            return
        self._calibrate(upsampler)  # the machine may have been busy with something else the last time
        estimate_s = work * self._seconds_per_window_pixel[upsampler]
        if estimate_s > options.max_seconds:
            raise ImageTooLarge(
                f"a picture of {picture.size_wh[0]}x{picture.size_wh[1]} would take about {estimate_s:.0f} s "
                f"here, the limit is {options.max_seconds:.0f} s"
            )


def make_upsampler(network: nn.Module, engine: Engine) -> TiledUpsampler:
    """An upsampler for any of our networks, which say themselves what they do to a picture's sides."""
    return TiledUpsampler(
        network, scale=cast("int", network.scale), align=cast("int", network.unshuffle), engine=engine
    )


def upsample_somehow(upsampler: TiledUpsampler, lq: Pixels, tiling: Tiling, watch: Watch) -> Pixels:
    """Enlarge a picture; when memory runs out, again with tiles half as large, down to ``MIN_TILE``.

    Raises:
        OutOfMemory: even the smallest tile needs more than there is.
    """
    mark = watch.done
    while True:
        try:
            return upsampler(lq, tiling, watch)
        except OutOfMemory as exc:
            smaller = halved(tiling, max(lq.shape[:2]))
            if smaller is None:
                raise
            logger.warning("%s; trying again with tiles of %d px", exc, smaller.tile)
        if upsampler.engine.device.type == "cuda":
            torch.cuda.empty_cache()
        watch.rewind(mark)
        tiling = smaller


def halved(tiling: Tiling, longest_side: int) -> Tiling | None:
    """The same with tiles of half the side, one at a time; None when they are as small as they get."""
    tile = min(tiling.tile or longest_side, longest_side)
    return replace(tiling, tile=max(MIN_TILE, tile // 2), batch=1) if tile > MIN_TILE else None


class Stopwatch:
    """Seconds per stage."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a ``with`` block."""
        start = time.perf_counter()
        yield
        self._stages[name] = time.perf_counter() - start

    def seconds(self) -> dict[str, float]:
        """Per stage, and ``total`` since this was made."""
        return {**self._stages, "total": time.perf_counter() - self._start}
