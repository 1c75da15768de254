"""The way of one picture: decode, look at, plan, enlarge, keep its colours, restore its faces, encode.

restorer = Restorer.open(weights_dir=Path("weights"))
restored = restorer.restore(Path("old.jpg").read_bytes(), RestoreOptions(outscale=2))
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from models.choosing import budget_of, candidates_of, choose, names_here, share_of
from models.colour_lock import lock_colours
from models.decoding import DecodeLimits, Decoder
from models.encoding import encode
from models.engine.device import Engine, available_cores, pick_engine
from models.engine.memory import free_host_bytes, give_back_memory
from models.engine.model import CutWishes, Model
from models.engine.upsampler import Tiling, out_of_memory_named
from models.engine.watch import Progress, ShouldStop, Watch, no_progress
from models.errors import OptionsError, OutOfMemory, WeightsMissing
from models.faces.finding import FaceFinder
from models.faces.pipeline import FacePipeline
from models.faces.preview import FaceMask
from models.faces.report import notices_of
from models.faces.task import FaceTask, face_task, masks_of, open_faces, open_finder, preview_of
from models.grain import keep_noise
from models.loading import digest_of, load_model
from models.options import RestoreOptions
from models.picture import Picture
from models.pixels import Pixels
from models.planes import Planes
from models.planning import Plan, as_asked_for, estimates, explain, longest_estimates, look_at, with_faces
from models.recipe import OF_ANOTHER, of_another, recipe_of
from models.registry import DEFAULT_MODEL
from models.restored import Restored
from models.stopping import never
from models.stopwatch import Stopwatch
from models.weights import WeightsStore

logger = logging.getLogger(__name__)

AUTO = "auto"
UPSCALE_SHARE = 0.95  # of the progress; the rest is colours and encoding
MAX_THREADS_PER_CORE = 8  # far beyond any use; hundreds of threads on few cores take minutes, thousands crash
ENCODER_BYTES_PER_PIXEL = 1.5  # of the result, at the most that a file and the encoder's strips were seen to take


class Restorer:
    """Networks loaded, moved and warmed up. Used by one thread at a time.

    Args:
        models: at least one; the planner chooses among them.
        threads: that torch and the encoders may use; torch's number is that of the whole process.
        blend: denoise strength of the networks, if they were blended of pairs; for the records.
        faces: what restores faces, or a sentence that says why nothing does.
        finder: what finds faces for a preview, or such a sentence; None: ``faces`` does.
        asked_for: whether the models are there because somebody named them, for what is said about the choice.
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        engine: Engine,
        threads: int,
        blend: float | None = None,
        faces: FacePipeline | str = "no weights for faces were loaded",
        finder: FaceFinder | str | None = None,
        asked_for: bool = False,
    ) -> None:
        if not models:
            raise OptionsError("a restorer needs at least one model")
        self.threads = threads
        self._engine = engine
        self._blend = blend
        self._asked_for = asked_for
        self._faces = faces
        self._finder: FaceFinder | str = faces if finder is None else finder
        self._models = {model.name: model for model in models}
        self._decoder = Decoder()
        for model in models:
            logger.info(
                "%s on %s in %s, %d threads, %.1f s per megapixel: %s",
                model.name, self.device, self.dtype, threads, model.seconds_per_pixel * 1e6, engine.reason,
            )  # fmt: skip

    @classmethod
    def open(
        cls,
        model: str = AUTO,
        *,
        weights_dir: Path,
        device: str = "auto",
        dtype: str = "auto",
        denoise: float | None = None,
        threads: int | None = None,
        faces: bool = True,
    ) -> Restorer:
        """Load one network by name, or all that the planner knows to choose among.

        Args:
            model: a name of the registry, a short name, or a name of weights brought into the folder; ``auto``:
                whatever is there of the models that ``models.planning`` rates, the shipped one among them.
            weights_dir: the weights folder.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            dtype: ``auto``, ``bfloat16``, ``float16`` or ``float32``.
            denoise: 0 keeps the noise, 1 removes it; for a model that comes as a pair. Others have
                ``RestoreOptions.denoise``.
            threads: None means the cores this process may use.
            faces: load what restores faces, where its weights are.

        Raises:
            OptionsError: an unknown name, ``denoise`` where it means nothing, no threads or far too many.
            WeightsError: the weights are missing or refused.
            DeviceError: no such device or format here, or no memory for the network.
        """
        most = MAX_THREADS_PER_CORE * available_cores()
        if threads is not None and not 1 <= threads <= most:
            raise OptionsError(f"threads must be 1 to {most} on this machine, not {threads}")
        threads = threads or available_cores()
        torch.set_num_threads(threads)
        engine = pick_engine(device, dtype)
        names = names_here(weights_dir) if model == AUTO else (WeightsStore(weights_dir).full_name(model),)
        if not names:
            raise WeightsMissing(
                f"no weights in {weights_dir}; bring them with: python -m models weights fetch {DEFAULT_MODEL}"
            )
        models = [
            Model(
                name,
                lambda name=name: load_model(name, weights_dir, denoise=denoise),  # type: ignore[misc]
                engine,
                digest=digest_of(name, weights_dir),
            )
            for name in names
        ]
        restoring = open_faces(weights_dir, engine) if faces else "they were not to be loaded"
        return cls(
            models,
            engine=engine,
            threads=threads,
            blend=denoise,
            faces=restoring,
            finder=open_finder(weights_dir, engine) if isinstance(restoring, str) else None,
            asked_for=model != AUTO,
        )

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the networks that are loaded."""
        return tuple(self._models)

    @property
    def largest_scale(self) -> int:
        """How many times larger the networks that are loaded make a picture, at the most."""
        return max(model.scale for model in self._models.values())

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
    def faces_off(self) -> str | None:
        """Why faces are not restored, as a sentence; None: they are."""
        return self._faces if isinstance(self._faces, str) else None

    @property
    def guard_off(self) -> str | None:
        """Why the likeness of restored faces is judged by nobody, as a sentence; None: it is, or none are restored."""
        return None if isinstance(self._faces, str) else self._faces.guard_off

    @property
    def faces_sha256(self) -> Mapping[str, str]:
        """Digests of the weights for faces, by role; empty where faces are not restored."""
        return {} if isinstance(self._faces, str) else self._faces.sha256

    def seconds_per_pixel(self, model: str) -> float:
        """Of what that network sees: measured when it was loaded, and by every picture since."""
        return self._models[model].seconds_per_pixel

    def estimates(self, options: RestoreOptions) -> tuple[tuple[int, float], ...]:
        """Pixels of a sharp photograph, rising, and the seconds it would take under these options.

        For those who have not seen the picture, such as whoever reads a worker's card: it has no faces. What
        :class:`models.restored.Restored` says was expected, and why, has those that were found in it.
        """
        return estimates(candidates_of(self._models), budget_of(options))

    def longest_estimates(self, options: RestoreOptions) -> tuple[tuple[int, float], ...]:
        """The same for whichever kind of picture takes longest at each size."""
        return longest_estimates(candidates_of(self._models), budget_of(options))

    def close(self) -> None:
        """End the process that decodes. The restorer may be used again; it starts another."""
        self._decoder.close()

    def restore(
        self,
        data: bytes,
        options: RestoreOptions | None = None,
        *,
        on_progress: Progress = no_progress,
        should_stop: ShouldStop = never,
    ) -> Restored:
        """Restore one picture.

        Args:
            data: the file as it came.
            options: wishes and limits.
            on_progress: called from this thread with rising fractions in [0, 1].
            should_stop: asked before every convolution, and ten times a second while decoding and encoding; a true
                answer ends the work.

        Raises:
            ImageError: the picture is at fault, or above a limit.
            OptionsError: a model is wished for that is not loaded.
            DeviceError: the machine is at fault.
            RestorationStopped: ``should_stop`` said so. The restorer can be used again at once.
        """
        try:
            with out_of_memory_named():  # whatever part of the way it happens in
                return self._restore(data, options or RestoreOptions(), on_progress, should_stop)
        finally:
            give_back_memory()

    def _restore(
        self, data: bytes, options: RestoreOptions, on_progress: Progress, should_stop: ShouldStop
    ) -> Restored:
        clock = Stopwatch()
        wishes = of_another(options, data)
        foreign, options = ((), options) if wishes is None else ((OF_ANOTHER,), wishes)
        with clock.stage("decode"):
            picture = self._decoder.decode(data, limits_of(options), should_stop=should_stop)
        with clock.stage("plan"):
            traits = look_at(picture)
            planes = Planes.of(picture)
            chosen = choose(self._models, picture, traits, options, planes=planes.count)
            chosen = as_asked_for(chosen) if self._asked_for else chosen
            task = face_task(self._faces, picture, traits, chosen, options, should_stop=should_stop)
            model, lq = self._models[chosen.model], planes.reduced(chosen.lq_wh)
            tiling = self._tiling(model, picture, chosen, options, task, planes=planes)
        work = planes.count * model.work(chosen.lq_wh, tiling)
        upscale_share = UPSCALE_SHARE * chosen.estimate_s / (chosen.estimate_s + task.seconds)
        chosen = with_faces(chosen, len(task.restored), task.seconds + task.looked_s)
        watch = Watch(total=work, on_progress=lambda done: on_progress(done * upscale_share), should_stop=should_stop)
        with clock.stage("upscale"):
            enlarged, engine = self._upscale(model, lq, tiling, watch, chosen, precise=picture.is_16_bit)
            give_back_memory()  # what the network had, before the result takes its share
        watch.check()
        with clock.stage("colours"):
            strength = share_of(chosen, traits, options)
            if chosen.size_out_wh == picture.size_wh:
                enlarged = enlarged.mixed_with(planes, strength)
            self._keep_colours(enlarged, planes, options)
            result = enlarged.as_picture(picture)
            del enlarged, lq, planes  # what is premultiplied takes more than the result
        watch.check()
        with clock.stage("faces"):
            result, faces = task.done(
                picture,
                result,
                on_progress=lambda done: on_progress(upscale_share + done * (UPSCALE_SHARE - upscale_share)),
                should_stop=should_stop,
            )
        watch.check()
        recipe = recipe_of(
            options,
            chosen,
            traits,
            tiling,
            model=model,
            engine=engine,
            threads=self.threads,
            source=data,
            strength=strength,
            faces=task.recipe(faces),
            blend=self._blend,
        )
        with clock.stage("encode"):
            encoded = encode(
                result,
                options.output_format,
                kind=traits.kind,
                max_bytes=options.max_output_bytes,
                recipe=recipe,
                threads=self.threads,
                should_stop=should_stop,
            )
        on_progress(1.0)
        seconds = clock.seconds()
        return Restored(
            data=encoded.data,
            extension=encoded.extension,
            mime=encoded.mime,
            size_in_wh=picture.size_wh,
            size_out_wh=encoded.size_wh,
            model=chosen.model,
            device=str(engine.device),
            dtype=engine.dtype_name,
            seconds=seconds,
            estimate_s=chosen.estimate_s,
            faces=faces,
            choice=explain(chosen),
            recipe={**recipe, "made": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": seconds["total"]},
            notices=(
                *foreign,
                *picture.notices,
                *chosen.notices,
                *task.notices,
                *notices_of(faces),
                *encoded.notices,
            ),
        )

    def faces_preview(self, data: bytes, options: RestoreOptions | None = None) -> Pixels:
        """The picture with its faces numbered, as ``faces_picked`` and ``faces_left_out`` count them.

        Args:
            data: the file as it came.
            options: limits; faces that would be left out are crossed out.

        Returns:
            (h, w, 3) uint8 RGB, at most 1600 px wide or high.

        Raises:
            ImageError: the picture is at fault, or above a limit.
            OptionsError: nothing that finds faces is loaded. What restores them is not needed.
        """
        options = options or RestoreOptions()
        options = of_another(options, data) or options
        return preview_of(self._loaded_finder(), self._decoder.decode(data, limits_of(options)), options)

    def face_masks(self, data: bytes, options: RestoreOptions | None = None) -> Iterator[FaceMask]:
        """What restoring each face would change, numbered as ``faces_picked`` and ``faces_left_out`` count them.

        Args:
            data: the file as it came.
            options: limits; which faces are wanted does not matter.

        Returns:
            Masks of the picture's own size, made one at a time as they are asked for. They are ovals where no parser
            is loaded, or nothing that restores faces.

        Raises:
            ImageError: the picture is at fault, or above a limit.
            OptionsError: nothing that finds faces is loaded. What restores them is not needed.
        """
        picture = self._decoder.decode(data, limits_of(options or RestoreOptions()))
        return masks_of(self._loaded_finder(), picture)

    def _loaded_finder(self) -> FaceFinder:
        if isinstance(self._finder, str):
            raise OptionsError(f"faces cannot be found: {self._finder}")
        return self._finder

    def _tiling(
        self, model: Model, picture: Picture, chosen: Plan, options: RestoreOptions, task: FaceTask, *, planes: Planes
    ) -> Tiling:
        """How the picture is cut; refuses here, with numbers, what the machine has no memory for.

        What its faces will take is left free. Where that leaves too little for the network the picture comes first.
        """
        width, height = chosen.size_out_wh
        channels = (1 if picture.is_gray else 3) + (picture.alpha is not None)
        # While a transparent result is put together its planes are there as well; later its file is.
        beside = 0 if planes.opacity is None else planes.bytes_per_pixel
        reserved = int(width * height * (channels * picture.pixels.itemsize + max(beside, ENCODER_BYTES_PER_PIXEL)))
        free = free_host_bytes()
        if free is not None and reserved > free:
            raise OutOfMemory(
                f"a result of {width}x{height} needs {reserved / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free"
            )
        wishes = CutWishes(
            tile=options.tile, overlap=options.overlap, border=options.border, placement=options.placement
        )
        engine = model.engine_for(precise=picture.is_16_bit)
        for_faces = task.needed_bytes(picture, chosen.size_out_wh)
        if for_faces:
            try:
                return model.tiling(chosen.lq_wh, wishes, engine, reserved_bytes=reserved + for_faces)
            except OutOfMemory as exc:
                logger.warning("faces need %.0f MB, which are not free beside the network: %s", for_faces / 1e6, exc)
        return model.tiling(chosen.lq_wh, wishes, engine, reserved_bytes=reserved)

    def _upscale(
        self, model: Model, lq: Planes, tiling: Tiling, watch: Watch, chosen: Plan, *, precise: bool
    ) -> tuple[Planes, Engine]:
        engine = model.engine_for(precise=precise)

        def enlarge(plane: Pixels) -> Pixels:
            nonlocal engine
            made, engine = model.upscale(plane, tiling, watch, size_wh=chosen.size_out_wh, precise=precise)
            return made

        return lq.enlarged(enlarge), engine

    def _keep_colours(self, enlarged: Planes, planes: Planes, options: RestoreOptions) -> None:
        if options.colour_lock:
            lock_colours(enlarged.colours, planes.colours, threads=self.threads)
        if options.denoise is not None:
            keep_noise(enlarged.colours, planes.colours, 1 - options.denoise)


def limits_of(options: RestoreOptions) -> DecodeLimits:
    """What the decoder is told."""
    return DecodeLimits(max_pixels=options.max_input_pixels, max_bytes=options.max_input_bytes)
