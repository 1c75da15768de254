"""The commands of ``python -m training``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.devices import Compute
from training.errors import SettingsError, TrainingError
from training.export import export
from training.gallery import gallery, read_pictures, write_gallery
from training.lift import lift_file
from training.patches import Patches, open_patches, prepare
from training.plot import plot
from training.settings import Settings, read_settings
from training.smoke import smoke
from training.teacher import answers
from training.trainer import Trainer

RUNS = Path(__file__).parent / "runs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    args = _arguments(arguments)
    try:
        args.command(args)
    except (TrainingError, OSError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on from what is kept\n")
        return 130
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training", description="Train a model on your own pictures; docs/training.md explains it."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, text in (
        ("prepare", _prepare, "cut and spoil patches; kept on disk"),
        ("teach", _teach, "prepare, and ask the teacher about every patch; kept on disk"),
        ("train", _train, "prepare, teach, train; goes on where it was stopped"),
        ("export", _export, "write the trained network as safetensors, in float16"),
        ("smoke", _smoke, "train a small network for minutes: it has to learn, and to resume bit for bit"),
    ):
        sub = commands.add_parser(name, help=text, description=text)
        default = RUNS / "smoke.toml" if name == "smoke" else None
        sub.add_argument(
            "settings", type=Path, nargs="?" if default else None, default=default,
            help="TOML file of the run; see training/runs/",
        )  # fmt: skip
        sub.add_argument(
            "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="replace a value of the file"
        )
        sub.set_defaults(command=command)
        if name == "train":
            sub.add_argument("--fresh", action="store_true", help="begin anew where a checkpoint exists")
        if name == "export":
            sub.add_argument("target", type=Path, help="file to write; its name becomes the model's")
        if name == "smoke":
            sub.add_argument("--pictures", type=Path, metavar="FOLDER", help="yours (default: drawings are made)")
            sub.add_argument("--folder", type=Path, help="keep everything there (default: a temporary one)")
    text = "show what every degradation does, in one JPEG"
    sub = commands.add_parser("gallery", help=text, description=text)
    sub.add_argument("target", type=Path, metavar="OUT", help="file to write")
    sub.add_argument(
        "--pictures", type=Path, nargs="+", default=[], metavar="FILE", help="yours (default: drawings are made)"
    )
    sub.add_argument("--seed", type=_seed, default=0, help="of all chance (default: %(default)s)")
    sub.set_defaults(command=_gallery)
    text = "let an exported network see black as a little less than black, or lone bright dots on it lead it astray"
    sub = commands.add_parser("lift", help=text, description=text)
    sub.add_argument("source", type=Path, metavar="FILE", help="as export wrote it")
    sub.add_argument("target", type=Path, metavar="OUT", help="file to write; its name becomes the model's")
    sub.set_defaults(command=_lift)
    text = "draw the curves of runs side by side: loss, agreement, PSNR, SSIM, sharpness"
    sub = commands.add_parser("plot", help=text, description=text)
    sub.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a run (train.folder)")
    sub.add_argument("--out", type=Path, default=Path("curves.png"), help="file to write (default: %(default)s)")
    sub.set_defaults(command=_plot)
    return parser.parse_args(arguments)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a whole number of 0 or more, not {text!r}")
    return int(text)


def _settings(args: argparse.Namespace) -> Settings:
    pairs = [pair.partition("=") for pair in args.set]
    for key, sign, _ in pairs:
        if not sign:
            raise SettingsError(f"--set takes SECTION.KEY=VALUE, not {key!r}")
    return read_settings(args.settings, {key: value for key, _, value in pairs})


def _prepare(args: argparse.Namespace) -> None:
    _prepared(_settings(args))


def _teach(args: argparse.Namespace) -> None:
    settings = _settings(args)
    if not settings.teacher.model:
        raise SettingsError("nobody to ask: set teacher.model")
    _taught(settings)


def _train(args: argparse.Namespace) -> None:
    settings = _settings(args)
    patches, teacher = _taught(settings)
    state = Trainer(settings, patches, teacher, _compute(settings)).run(fresh=args.fresh)
    sys.stderr.write(f"{state.step} steps done; log, checkpoint and sheets are in {settings.train.folder}\n")


def _export(args: argparse.Namespace) -> None:
    settings = _settings(args)
    trainer = Trainer(settings, open_patches(Path(settings.data.folder)), None, _compute(settings))
    sys.stderr.write(f"{export(trainer, args.target)}\n")


def _smoke(args: argparse.Namespace) -> None:
    settings = _settings(args)
    if args.folder:
        smoke(settings, args.folder, args.pictures)
        return
    with tempfile.TemporaryDirectory(prefix="train-smoke-") as folder:
        smoke(settings, Path(folder), args.pictures)


def _gallery(args: argparse.Namespace) -> None:
    write_gallery(gallery(read_pictures(args.pictures), seed=args.seed), args.target)


def _lift(args: argparse.Namespace) -> None:
    sys.stderr.write(f"{lift_file(args.source, args.target)}\n")


def _plot(args: argparse.Namespace) -> None:
    plot(args.runs, args.out)
    sys.stderr.write(f"{args.out}\n")


def _prepared(settings: Settings) -> Patches:
    patches = prepare(settings.data)
    sides = f"{len(patches.numbers('train'))} to train on, {len(patches.numbers('validation'))} for validation"
    sys.stderr.write(f"{len(patches.gt)} patches in {patches.folder}: {sides}\n")
    return patches


def _taught(settings: Settings) -> tuple[Patches, NDArray[np.uint8] | None]:
    patches, teacher = _prepared(settings), settings.teacher
    if not teacher.model:
        return patches, None
    return patches, answers(patches, teacher.model, Path(teacher.weights), _compute(settings))


def _compute(settings: Settings) -> Compute:
    return Compute.pick(settings.train.device, settings.train.dtype, settings.train.threads)
