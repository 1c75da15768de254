"""``python -m models info``: what this machine can do, what was picked, and why."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import models
from models.cli.folder import add_folder_option
from models.cli.process import prepare_process, say_starting
from models.weights.store import WeightsStore

if TYPE_CHECKING:
    from models.checkpoints.architecture import Role
    from models.weights.listing import ModelRow

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # argparse has no public name for it

FACE_ROLES: dict[str, Role] = {
    "face_restorer": "restorer",
    "face_detectors": "detector",
    "face_parser": "parser",
    "face_judge": "identity",
}
LIBRARIES = ("torch", "numpy", "pillow", "opencv-python-headless")


def add_parser(subparsers: Subparsers) -> None:
    """Describe the command."""
    parser = subparsers.add_parser("info", help="what this machine can do, what was picked, and why")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--dtype", default="auto", metavar="T", help="auto, bfloat16, float16 or float32")
    add_folder_option(parser, "--weights-dir")
    parser.add_argument("--measure", action="store_true", help="also load --model and time it")
    parser.add_argument(
        "--model",
        default="compact",
        metavar="NAME",
        help="for --measure (default: %(default)s); auto: all that a picture may get",
    )
    parser.add_argument("--json", action="store_true", help="a JSON object instead of lines")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what is known; the exit status.

    Raises:
        DeviceUnavailable: no such device or number format here.
        WeightsError: ``--measure`` and the model cannot be loaded.
    """
    say_starting()
    prepare_process()
    facts = gather(args)
    if args.json:
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
    else:
        width = max(map(len, facts))
        rows = ((name, words) for name, value in facts.items() for words in _words(value))
        sys.stdout.writelines(f"{name.ljust(width)}  {words}\n" for name, words in rows)
    return 0


def gather(args: argparse.Namespace) -> dict[str, Any]:
    """Name to value, in the order in which they are shown."""
    from models.engine.device import available_cores, device_choices, pick_engine
    from models.engine.memory import free_host_bytes

    engine, rows = pick_engine(args.device, args.dtype), WeightsStore(args.weights_dir).list()
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
        "device": str(engine.device),
        "dtype": engine.dtype_name,
        "reason": engine.reason,
        "devices": list(device_choices()),
        "threads": available_cores(),
        "memory_mb": None if (free := free_host_bytes()) is None else free // 2**20,
        "weights": [row.name for row in rows if row.state == "present"],
        **{name: _names(rows, role) for name, role in FACE_ROLES.items()},
    }
    if args.measure:
        restorer = models.Restorer.open(args.model, weights_dir=args.weights_dir, device=args.device, dtype=args.dtype)
        paces = {name: round(restorer.seconds_per_pixel(name) * 1e6, 2) for name in restorer.models}
        facts["seconds_per_megapixel"] = paces  # of what the network sees
    return facts


def _names(rows: Sequence[ModelRow], role: Role) -> list[str]:
    """What is here for something; what is damaged says so, for then no face is restored at all."""
    here = {row.name: row.state for row in rows if row.role == role and row.state in {"present", "damaged"}}
    return [name if state == "present" else f"{name} is damaged" for name, state in here.items()]


def _words(value: object) -> list[str]:
    """What is said of one fact, a row each."""
    if isinstance(value, dict):
        return [f"{name}  {of_it}" for name, of_it in value.items()]
    if isinstance(value, list):
        return [", ".join(map(str, value)) or "none"]
    return ["unknown" if value is None else str(value)]
