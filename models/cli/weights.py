"""``python -m models weights``: list, fetch, verify, import and pin checkpoints."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from models.cli.folder import add_folder_option
from models.errors import RestorationError, WeightsMissing
from models.registry import DEFAULT_MODEL, GROUPS, MODELS, find_model
from models.weights.file import pin_of
from models.weights.http import Progress
from models.weights.listing import SHIPPED, ModelRow
from models.weights.mirrors import FETCHING, NoMirror
from models.weights.store import WeightsStore

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # argparse has no public name for it

CHECKPOINTS = {".pth", ".pt", ".ckpt", ".onnx", ".param"}  # what people put into the folder by hand
MIRROR_VARIABLE = "RESTORA_WEIGHTS_MIRROR"


def add_parser(subparsers: Subparsers) -> None:
    """Describe the command and its five verbs."""
    parser = subparsers.add_parser("weights", help="list, fetch, verify, import and pin checkpoints")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    folder = argparse.ArgumentParser(add_help=False)
    add_folder_option(folder, "--dir", "--weights-dir")

    verb = verbs.add_parser("list", parents=[folder], help="which models there are, and which are here")
    verb.add_argument("--json", action="store_true", help="a JSON array instead of a table")
    verb.set_defaults(run=_list)

    verb = verbs.add_parser("fetch", parents=[folder], help=f"bring models here (default: {DEFAULT_MODEL})")
    verb.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of a model, or of several at once: {', '.join(GROUPS)}"
    )
    verb.add_argument("--all", action="store_true", help="every model of the list")
    verb.add_argument(
        "--mirror",
        metavar="URL",
        default=os.environ.get(MIRROR_VARIABLE),
        help=f"folder on a web server that has the official files, tried first (default: {MIRROR_VARIABLE})",
    )
    verb.add_argument("--verbose", action="store_true", help="also say why a mirror did not give a file")
    verb.set_defaults(run=_fetch, usage_error=verb.error)

    verb = verbs.add_parser("verify", parents=[folder], help="check every byte of what is here")
    verb.add_argument("names", nargs="*", metavar="NAME")
    verb.add_argument("--json", action="store_true", help="a JSON array instead of lines")
    verb.set_defaults(run=_verify)

    verb = verbs.add_parser("import", parents=[folder], help="bring in a checkpoint of your own")
    verb.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="FILE.pth, FILE.safetensors, FILE.param [FILE.bin], or an official FILE.onnx",
    )
    verb.add_argument("--name", help="what to call it (default: the file's name)")
    verb.add_argument("--replace", action="store_true", help="overwrite a model of that name")
    verb.set_defaults(run=_import)

    verb = verbs.add_parser("pin", help="print size and SHA-256 of files as models/registry.py has them")
    verb.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="checkpoints, which have to be loadable, or ONNX files"
    )
    verb.set_defaults(run=_pin)


def _list(args: argparse.Namespace) -> int:
    rows = WeightsStore(args.dir).list()
    if args.json:
        _print(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
    table = [("NAME", "SCALE", "LICENCE", "SIZE", "STATE", "FOR"), *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        _print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    known = {spec.file for spec in MODELS.values()}
    for path in sorted(path for path in args.dir.glob("*") if path.suffix in CHECKPOINTS and path.name not in known):
        _notify(f"{path} is not used as it lies there; bring it in with: python -m models weights import {path}")
    return 0


def _cells(row: ModelRow) -> tuple[str, ...]:
    scale = f"x{row.scale}" if row.scale else "-" if row.role else "?"
    state = "shipped" if row.source == SHIPPED else row.state
    return row.name, scale, row.licence, f"{row.bytes / 1e6:.1f} MB", state, row.purpose


def _fetch(args: argparse.Namespace) -> int:
    if args.all and args.names:
        args.usage_error("give names or --all, not both")
    notes = _MirrorNotes(verbose=args.verbose)
    store = WeightsStore(args.dir, mirror=args.mirror or None, notify=_notify, on_mirror=notes)
    names = list(MODELS) if args.all else _members(args.names) or [DEFAULT_MODEL]
    failed = False
    for name in names:
        try:
            with _progress_bar(name) as progress:
                path = store.fetch(name, progress=notes.before(progress))
        except NoMirror as exc:
            why = "" if args.verbose else f"; why: python -m models weights fetch {name} --verbose"
            _notify(f"error: {exc.brief}{why}")
            failed = True
        except RestorationError as exc:
            if len(names) == 1:
                raise
            _notify(f"error: {exc}")
            failed = True
        else:
            notes.show()
            row = next(row for row in store.list() if row.name == find_model(name).name)
            _print(f"{path}  (licence {row.licence}, from {row.source})")
            if row.reservations:
                _notify(f"{row.name}: {row.reservations}")
    return int(failed)


class _MirrorNotes:
    """What is told of mirrors: the one that gives something; with ``verbose`` each that is tried, and why it failed."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose, self._held = verbose, ""

    def __call__(self, line: str) -> None:
        """Take a note of the store's."""
        self._held = line if line.startswith(FETCHING) else ""
        if self._verbose:
            _notify(line)
            self._held = ""

    def show(self) -> None:
        """The mirror that is being tried gives something: say which it is, once."""
        if self._held:
            _notify(self._held)
        self._held = ""

    def before(self, progress: Progress) -> Progress:
        """The same progress, which says first who the bytes come from."""

        def shown(done: int, total: int) -> None:
            self.show()
            progress(done, total)

        return shown


def _members(names: list[str]) -> list[str]:
    """The same with every group's name replaced by its models', each once."""
    return list(dict.fromkeys(member for name in names for member in GROUPS.get(name, (name,))))


def _verify(args: argparse.Namespace) -> int:
    store = WeightsStore(args.dir)
    names = _members(args.names) or [row.name for row in store.list() if row.state != "missing"]
    if not names:
        raise WeightsMissing(f"no weights in {args.dir}; bring some with: python -m models weights fetch")
    results = [_verdict(store, name) for name in names]
    if args.json:
        _print(json.dumps(results, indent=2))
    for result in [] if args.json else results:
        _print(f"{result['name']}: {result['error'] or 'ok, from ' + str(result['source'])}")
    return int(any(result["error"] for result in results))


def _verdict(store: WeightsStore, name: str) -> dict[str, str | None]:
    try:
        stored = store.verify(name)
    except RestorationError as exc:
        return {"name": name, "source": None, "error": str(exc)}
    return {"name": name, "source": stored.source, "error": None}


def _import(args: argparse.Namespace) -> int:
    store = WeightsStore(args.dir)
    path = store.import_files(tuple(args.files), name=args.name, replace=args.replace)
    if path.stem in store.names_here("upsampler"):
        _print(f"{path}; use it with: python -m models restore --model {path.stem} IN OUT")
    else:
        _print(f"{path}; it is there for faces")
    return 0


def _pin(args: argparse.Namespace) -> int:
    from models.weights.convert import convert  # keeps listing free of torch

    for path in args.files:
        # Tried on its network: what cannot be loaded gets no pin. ONNX files are OpenCV's to try.
        described = "ONNX" if path.suffix == ".onnx" else str(convert((path,))[1])
        pin = pin_of(path)
        _print(f"{path}: {described}")
        _print(f'        pin=Pin(bytes={pin.bytes:_}, sha256="{pin.sha256}"),')
    return 0


@contextmanager
def _progress_bar(name: str) -> Iterator[Progress]:
    """Show a bar on a terminal, nothing in a log."""
    with tqdm(desc=name, unit="B", unit_scale=True, disable=not sys.stderr.isatty(), leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _notify(line: str) -> None:
    tqdm.write(line, file=sys.stderr)
