"""The commands of ``python -m training``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.devices import Compute
from training.errors import TrainingError
from training.export import export
from training.patches import Patches, open_patches, prepare
from training.settings import Settings, read_settings
from training.teacher import answers
from training.trainer import Trainer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    args = _arguments(arguments)
    try:
        settings = read_settings(args.settings, dict(pair.split("=", 1) for pair in args.set))
        args.command(settings, args)
    except TrainingError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on from the last checkpoint\n")
        return 130
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, text in (
        ("prepare", _prepare, "cut and spoil patches; kept on disk"),
        ("teach", _teach, "prepare, and ask the teacher about every patch; kept on disk"),
        ("train", _train, "prepare, teach, train; goes on where it was stopped"),
        ("export", _export, "write the trained network as safetensors, in float16"),
    ):
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("settings", type=Path, help="TOML file of the run; see training/runs/")
        sub.add_argument(
            "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="replace a value of the file"
        )
        sub.set_defaults(command=command)
        if name == "train":
            sub.add_argument("--fresh", action="store_true", help="begin anew where a checkpoint exists")
        if name == "export":
            sub.add_argument("target", type=Path, help="file to write")
    return parser.parse_args(arguments)


def _prepare(settings: Settings, _args: argparse.Namespace) -> Patches:
    patches = prepare(settings.data)
    sides = f"{len(patches.numbers('train'))} to train on, {len(patches.numbers('validation'))} for validation"
    sys.stderr.write(f"{len(patches.gt)} patches in {patches.folder}: {sides}\n")
    return patches


def _teach(settings: Settings, args: argparse.Namespace) -> tuple[Patches, NDArray[np.uint8] | None]:
    patches, teacher = _prepare(settings, args), settings.teacher
    if not teacher.model:
        return patches, None
    return patches, answers(patches, teacher.model, Path(teacher.weights), _compute(settings))


def _train(settings: Settings, args: argparse.Namespace) -> None:
    patches, teacher = _teach(settings, args)
    state = Trainer(settings, patches, teacher, _compute(settings)).run(fresh=args.fresh)
    sys.stderr.write(f"{state.step} steps done; log, checkpoint and sheets are in {settings.train.folder}\n")


def _export(settings: Settings, args: argparse.Namespace) -> None:
    patches = open_patches(Path(settings.data.folder))
    trainer = Trainer(settings, patches, None, _compute(settings))
    sys.stderr.write(f"{export(trainer, args.target)}\n")


def _compute(settings: Settings) -> Compute:
    return Compute.pick(settings.train.device, settings.train.dtype, settings.train.threads)
