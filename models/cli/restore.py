"""``python -m models restore IN OUT``: one picture, or a folder of them, without any queue."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

import models
from models.cli.files import Names, beginning, files_under, is_there, looks_like_a_picture, read_most, real, write_whole
from models.cli.folder import add_folder_option
from models.cli.process import prepare_process, say_starting
from models.errors import OptionsError, RestorationError, UnsupportedFormat
from models.options import BORDER, MAX_FACES, PATIENCE_S
from models.registry import DEFAULT_PARSER, DENOISE_PARTNERS
from models.weights import WeightsStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.faces.report import FaceReport
    from models.options import OutputFormat, RestoreOptions
    from models.restored import Restored
    from models.restorer import Restorer

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # argparse has no public name for it

FORMATS: dict[str, OutputFormat] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
FAILED = 1
FLAGS = {"patience_s": "patience", "max_output_bytes": "max-bytes"}  # of options that have another name there
DIGITS = re.compile(r"\d{1,9}")  # int() has a limit of its own, far beyond any face
# What a recipe says itself, or what its saying so makes void; the machine's own are compared with it. None of them has
# a default for argparse, so that one that was given, be it with its usual value, is told from one that was not.
SAID_BY_RECIPE = (
    "outscale", "denoise", "strength", "faces", "pick", "leave", "colour_lock", "max_seconds", "patience", "max_bytes",
    "tile", "overlap", "border", "format",
)  # fmt: skip
# What a recipe says beside the options; that the model is one, and threads and blend are in range, is seen later.
NoneType = type(None)
RECIPE_KINDS: dict[str, tuple[type, ...]] = {
    "model": (str,),
    "model_sha256": (str, NoneType),
    "blend": (int, float, NoneType),
    "device": (str, NoneType),
    "dtype": (str, NoneType),
    "threads": (int, NoneType),
}


def add_parser(subparsers: Subparsers) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "restore",
        help="restore one picture, or a folder of them",
        description="Restore a picture, or every picture of a folder and its sub-folders.",
    )
    parser.add_argument("input", type=Path, metavar="IN", help="a picture or a folder")
    parser.add_argument(
        "output",
        type=Path,
        metavar="OUT",
        help=f"a file ({', '.join(FORMATS)}), or a folder, where only what came of the same picture is replaced",
    )
    parser.add_argument("--outscale", type=float, metavar="F", help="times as large (default: what suits the picture)")
    parser.add_argument("--model", default="auto", metavar="NAME", help="default: the one that suits the picture")
    parser.add_argument(
        "--denoise", type=float, metavar="0..1", help="0 gives the picture its own noise back (default: 1, clean)"
    )
    parser.add_argument(
        "--strength",
        type=float,
        metavar="0..1",
        help="of the network where a picture keeps its size (default: by need)",
    )
    parser.add_argument(
        "--faces",
        type=float,
        metavar="0..100",
        help="strength of face restoration, 0: none (default: as the bot has it, where its weights are)",
    )
    parser.add_argument("--pick", type=face_numbers, metavar="N,N", help="only these faces, as the preview counts them")
    parser.add_argument("--leave", type=face_numbers, metavar="N,N", help="all faces but these")
    parser.add_argument("--faces-preview", type=Path, metavar="PNG", help="write IN with its faces numbered, too")
    parser.add_argument(
        "--faces-masks",
        type=Path,
        metavar="DIR",
        help="write what restoring each face would change of IN, too, as face-1.png, face-2.png ... in a new folder",
    )
    parser.add_argument(
        "--colour-lock",
        action=argparse.BooleanOptionalAction,
        help="hold the colours to those of the input (default); --no-colour-lock: the bare network",
    )
    parser.add_argument(
        "--max-seconds",
        type=float,
        metavar="S",
        help="refuse a picture that would take longer; with --outscale: take the quickest way to it (default: any)",
    )
    parser.add_argument(
        "--patience",
        type=float,
        metavar="S",
        help=f"the best model if it needs no longer than this, else the everyday one (default: {PATIENCE_S:g})",
    )
    parser.add_argument("--max-bytes", type=int, metavar="N", help="largest result that will do (default: any)")
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="follow the recipe of this result, or JSON file")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--dtype", default="auto", metavar="T", help="auto, bfloat16, float16 or float32")
    parser.add_argument("--threads", type=int, metavar="N", help="default: the cores this process may use")
    parser.add_argument("--tile", type=int, metavar="N", help="width of a slab and rows at a time, 0: all at once")
    parser.add_argument("--overlap", type=int, metavar="N", help="pixels beside a slab that only the network sees")
    parser.add_argument("--border", type=int, metavar="N", help=f"pixels to reflect the picture by (default: {BORDER})")
    parser.add_argument("--format", choices=("auto", "png", "jpeg", "webp"), help="default: what OUT is called")
    add_folder_option(parser, "--weights-dir")
    parser.add_argument("--json", action="store_true", help="one JSON object a picture")
    parser.set_defaults(run=lambda args: run(args, usage_error=parser.error))


def run(args: argparse.Namespace, *, usage_error: Callable[[str], Any]) -> int:
    """Restore what ``args`` names; the exit status.

    Args:
        args: of the parser.
        usage_error: told what is wrong with the call; does not return.

    Raises:
        RestorationError: the one picture, the model, the device or an option is at fault.
    """
    source: Path = args.input
    there = is_there(source)
    for path in filter(None, (args.output, args.faces_preview, args.faces_masks)):
        is_there(path)  # raises where nothing ever could be
    if complaint := complain(source, args.output, args.format):
        usage_error(complaint)
    if not there:
        raise OptionsError(f"{source} is not there")
    if complaint := complain_of_faces(args) or complain_of_recipe(args):
        usage_error(complaint)
    say_starting()
    prepare_process()
    if args.recipe:
        follow(args)
    args.model = WeightsStore(args.weights_dir).full_name(args.model)
    by_weights = args.model in DENOISE_PARTNERS  # a model that comes as a pair is blended, others get noise back
    options = wishes_of(args, by_weights=by_weights)
    if not args.recipe:
        options = replace(options, output_format=wanted_format(source, args.output, args.format))
    restorer = models.Restorer.open(
        args.model,
        weights_dir=args.weights_dir,
        device=args.device,
        dtype=args.dtype,
        denoise=args.denoise if by_weights or args.recipe else None,
        threads=args.threads,
        faces=options.faces != 0 or args.faces_masks is not None,  # what restores faces can parse them, too
    )
    if args.recipe:
        expect_same_faces(restorer, args.recipe_values)
    if not args.recipe and options.outscale is not None and options.outscale > (scale := restorer.largest_scale):
        say(
            f"warning: the network makes pictures {scale} times as large, and what --outscale {options.outscale:g} "
            f"adds is plain enlarging that shows nothing more: --outscale {scale} has it all"
        )
    show_faces(restorer, args, options)
    report = Report(as_json=args.json, unjudged=restorer.guard_off)
    if source.is_dir():
        return restore_folder(restorer, source, args.output, options, report)
    target = None if args.output.is_dir() else args.output
    out, restored = restore_file(restorer, source, target or args.output, options, Names(source), whole=target)
    report(source, out, restored)
    say_who_was_not_there(args.leave or (), len(restored.faces))
    return 0


def wishes_of(args: argparse.Namespace, *, by_weights: bool) -> RestoreOptions:
    """The options of a call, or those of the recipe it names.

    Raises:
        OptionsError: a value out of its range; begins with the flag, or with what the recipe calls it.
    """
    from models.recipe import options_of

    if args.recipe:
        return options_of(args.recipe_values)
    try:
        return _options(args, by_weights=by_weights)
    except OptionsError as exc:
        option, _, complaint = str(exc).partition(" ")
        raise OptionsError(f"--{FLAGS.get(option, option).replace('_', '-')} {complaint}") from exc


def _options(args: argparse.Namespace, *, by_weights: bool) -> RestoreOptions:
    wishes = {
        "outscale": args.outscale,
        "denoise": None if by_weights else args.denoise,
        "strength": args.strength,
        "faces": args.faces,
        "faces_picked": args.pick,
        "faces_left_out": args.leave,
        "colour_lock": args.colour_lock,
        "max_seconds": args.max_seconds,
        "patience_s": args.patience,
        "max_output_bytes": args.max_bytes,
        "tile": args.tile,
        "overlap": args.overlap,
        "border": args.border,
    }
    return models.RestoreOptions(**{name: wish for name, wish in wishes.items() if wish is not None})


def follow(args: argparse.Namespace) -> None:
    """Take model, number format and threads from the recipe.

    Raises:
        OptionsError: the file has no recipe, or one for other weights than those here.
    """
    from models.recipe import options_of

    recipe = recipe_in(args.recipe)
    args.recipe_values = recipe
    options_of(recipe)  # complains of what is missing, and of values that are none
    for name, kinds in RECIPE_KINDS.items():
        value = recipe.get(name)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise OptionsError(f"{name} cannot be {value!r:.40} in a recipe")
    named = args.model if args.model == "auto" else WeightsStore(args.weights_dir).full_name(args.model)
    device, _, index = args.device.partition(":")
    for name, given in (("model", named), ("device", device), ("dtype", args.dtype), ("threads", args.threads)):
        if given not in {None, "auto", recipe.get(name) or given}:
            raise OptionsError(f"the recipe says {name} {recipe[name]!r:.80}, and --{name} says {given}")
    args.model, args.denoise = recipe["model"], recipe.get("blend")
    args.device = args.device if index else recipe.get("device") or args.device
    args.dtype = recipe.get("dtype") or args.dtype
    args.threads = args.threads if recipe.get("threads") is None else recipe["threads"]
    here = WeightsStore(args.weights_dir).verify(args.model).source_sha256
    if recipe.get("model_sha256") not in {here, None, ""}:
        raise OptionsError(f"the recipe was made with other weights of {args.model}: {recipe['model_sha256']!r:.80}")


def expect_same_faces(restorer: Restorer, recipe: dict[str, Any]) -> None:
    """Refuse a recipe with faces that other weights restored.

    Raises:
        OptionsError: says whose weights differ.
    """
    theirs = recipe.get("faces_sha256") if recipe.get("faces") else None
    if theirs and theirs != dict(restorer.faces_sha256):
        raise OptionsError(
            f"the recipe was made with other weights for faces: {theirs!r:.200}; {restorer.faces_off or 'they differ'}"
        )


def recipe_in(path: Path) -> dict[str, Any]:
    """The recipe inside a result, or in a JSON file of its own."""
    data = beginning(path)
    try:
        found = json.loads(data)
    except RecursionError as exc:
        raise OptionsError(f"{path} is no recipe") from exc
    except ValueError:
        from models.encoding import read_recipe

        found = read_recipe(data)
    recipe = found.get("recipe", found) if isinstance(found, dict) else None  # --json reports it among other things
    if not isinstance(recipe, dict):
        raise OptionsError(f"{path} is no recipe")
    return recipe


def face_numbers(text: str) -> tuple[int, ...]:
    """Numbers of faces, as they are given: 1,3."""
    numbers = tuple(int(part) if DIGITS.fullmatch(part.strip()) else 0 for part in text.split(","))
    if min(numbers) < 1 or max(numbers) > MAX_FACES:
        raise argparse.ArgumentTypeError(f"numbers of faces, from 1 to {MAX_FACES:,}, with commas; not {text!r:.60}")
    return numbers


def wanted_format(source: Path, target: Path, format_: OutputFormat | None) -> OutputFormat:
    """The name of a file decides; in a folder the option does, and the picture itself without one."""
    is_folder = source.is_dir() or target.is_dir()
    return format_ or "auto" if is_folder else FORMATS[target.suffix.lower()]


def complain(source: Path, target: Path, format_: str | None) -> str | None:
    """What is wrong with the two paths, before anything is loaded; None if nothing is."""
    if same_file(target, source):
        return f"OUT is IN itself: {target}"
    folder = next((parent for parent in (target, *target.absolute().parents) if parent.is_dir()), None)
    if folder is not None and not os.access(folder, os.W_OK | os.X_OK):
        return f"cannot write to {folder}"
    if source.is_dir():
        is_file = target.exists() and not target.is_dir()
        return f"{source} is a folder, so OUT must be one, and {target} is a file" if is_file else None
    return None if target.is_dir() else complain_of_name(target, format_)


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths are, or would be once folders on the way are made, one file."""
    resolved = real(one) == real(other)
    normal = os.path.normpath(one.absolute()) == os.path.normpath(other.absolute())
    return resolved or normal or (one.exists() and other.exists() and one.samefile(other))


def complain_of_faces(args: argparse.Namespace) -> str | None:
    """What is wrong with the wishes for faces; None if nothing is."""
    if args.faces == 0 and (args.pick or args.leave):
        return "--faces 0 restores no face, so there is nothing to --pick or to --leave"
    if args.pick and set(args.pick) <= set(args.leave or ()):
        return "--leave names every face that --pick does, so that none is restored"
    if args.faces_preview and (complaint := complain_of_preview(args.faces_preview, args.input, args.output)):
        return complaint
    return (
        complain_of_masks(args.faces_masks, args.input, args.output, args.faces_preview) if args.faces_masks else None
    )


def complain_of_recipe(args: argparse.Namespace) -> str | None:
    """Which options a recipe leaves no room for; None if there are none."""
    given = [name for name in SAID_BY_RECIPE if args.recipe and getattr(args, name) is not None]
    flags = ", ".join(f"--{'no-' * (getattr(args, name) is False)}{name.replace('_', '-')}" for name in given)
    return f"--recipe says all of that, so leave out {flags}" if given else None


def complain_of_masks(folder: Path, source: Path, target: Path, preview: Path | None) -> str | None:
    """What is wrong with the folder of masks; None if nothing is. Masks of another picture are never among them."""
    if source.is_dir():
        return "--faces-masks is for one picture"
    for other in (target, target.parent, *(() if preview is None else (preview, preview.parent))):
        if same_file(folder, other):
            return f"--faces-masks is a folder of its own, and not for {other}"
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        return f"--faces-masks is a new folder, or an empty one: {folder}"
    return None


def complain_of_preview(preview: Path, source: Path, target: Path) -> str | None:
    """What is wrong with the path of a preview; None if nothing is."""
    if source.is_dir() or preview.suffix.lower() != ".png":
        return "--faces-preview is a PNG file, of one picture"
    for other, name in ((source, "IN"), (target, "OUT")):
        if same_file(preview, other):
            return f"--faces-preview is {name} itself: {preview}"
    return None


def complain_of_name(target: Path, format_: str | None) -> str | None:
    """What is wrong with the name of a result; None if nothing is."""
    named = FORMATS.get(target.suffix.lower())
    if named is None:
        return f"OUT must end in one of {', '.join(FORMATS)} or be a folder that exists, not {target.name!r}"
    if format_ not in {None, "auto", named}:
        return f"OUT is called {target.name} but --format says {format_}"
    return None


def restore_folder(
    restorer: Restorer, source: Path, target: Path, options: RestoreOptions, report: Callable[..., None]
) -> int:
    """Restore every picture of a folder; one that fails does not stop the others."""
    closed = list[OSError]()
    files = files_under(source, leave_out=target, on_closed=closed.append)
    names, failed = Names(*files), list[Path]()
    for path in files:
        folder = target / path.parent.relative_to(source)
        try:
            out, restored = restore_file(restorer, path, folder, options, names)
        except UnsupportedFormat as exc:
            if looks_like_a_picture(path):
                failed.append(path)
            say(f"{path}: {'' if looks_like_a_picture(path) else 'skipped, '}{exc}")
        except RestorationError as exc:
            failed.append(path)
            say(f"{path}: {exc}")
        else:
            report(path, out, restored)
    if failed:
        say(f"error: {len(failed)} of {len(files)} files failed: {', '.join(map(str, failed))}")
    if closed:
        names_of = ", ".join(f"{error.filename}: {error.strerror}" for error in closed)
        say(f"error: {len(closed)} of the folders could not be read: {names_of}")
    elif not files:
        say(f"there are no files in {source}")
    return FAILED if failed or closed else 0


def restore_file(
    restorer: Restorer,
    path: Path,
    folder: Path,
    options: RestoreOptions,
    names: Names,
    *,
    whole: Path | None = None,
) -> tuple[Path, Restored]:
    """Restore one file into ``folder``, or to the path ``whole`` if that is given.

    Where the name is not given, nothing is replaced but what came of this very picture before.

    Raises:
        RestorationError: and nothing was written.
    """
    data = read(path, options)
    with progress_bar(path.name) as on_progress:
        restored = restorer.restore(data, options, on_progress=on_progress)
    say_if_foreign(path, restored)
    out, original = whole, path
    if whole is not None and FORMATS.get(whole.suffix.lower()) != FORMATS[f".{restored.extension}"]:
        out, folder, original = None, whole.parent, whole  # a recipe may say another format, or leave it open
    if out is None:
        source = str(restored.recipe["source_sha256"])
        made = partial(is_made_of, source_sha256=source)
        out = names.choose(folder, original, restored.extension, may_replace=made)
    write(out, restored.data)
    return out, restored


def is_made_of(path: Path, *, source_sha256: str) -> bool:
    """Whether a file says that it is a result, and of this very picture."""
    from models.encoding import read_recipe

    if not path.is_file():  # to open a pipe would wait for somebody who writes into it
        return False
    try:
        return read_recipe(beginning(path)).get("source_sha256") == source_sha256
    except OptionsError:
        return False


def say_if_foreign(path: Path, restored: Restored) -> None:
    """A recipe of another picture is followed, but not in what it says of that picture alone."""
    from models.recipe import OF_ANOTHER

    if OF_ANOTHER in restored.notices:
        say(
            f"warning: the recipe is of another picture than {path}: its wishes are kept, "
            "but not the size that its own was reduced to, nor the numbers of its faces"
        )


def say_who_was_not_there(left_out: Sequence[int], found: int) -> None:
    """A number to leave that no face has does no harm, but may be a slip."""
    from models.faces.report import expect_there

    try:
        expect_there(left_out, found)
    except OptionsError as exc:
        say(f"--leave: {exc}")


def show_faces(restorer: Restorer, args: argparse.Namespace, options: RestoreOptions) -> None:
    """Write the preview and the masks that were asked for, before the picture is restored."""
    if args.faces_preview:
        write_preview(restorer, args.input, args.faces_preview, options)
        if restorer.faces_off and options.faces is None:
            say(f"faces are numbered, and left as they are: {restorer.faces_off}")
    if args.faces_masks:
        write_masks(restorer, args.input, args.faces_masks, options)


def write_masks(restorer: Restorer, path: Path, folder: Path, options: RestoreOptions) -> None:
    """Write a gray picture for each face, and say so where there is none, or where they are ovals.

    Raises:
        RestorationError: the picture is at fault, or nothing that finds faces is here.
    """
    from PIL import Image

    mask = None
    for mask in restorer.face_masks(read(path, options), options):
        buffer = BytesIO()
        Image.fromarray(mask.pixels).save(buffer, "PNG")
        write(folder / f"face-{mask.number}.png", buffer.getvalue())
    if mask is None:
        say(f"there are no faces in {path}, and so no masks")
    elif not mask.is_parsed:
        bring = f"{DEFAULT_PARSER} is not there; bring it with: python -m models weights fetch {DEFAULT_PARSER}"
        say(f"the masks are ovals: {bring if restorer.faces_off is None else f'{bring}; {restorer.faces_off}'}")


def write_preview(restorer: Restorer, path: Path, target: Path, options: RestoreOptions) -> None:
    """Write a picture with its faces numbered.

    Raises:
        RestorationError: the picture is at fault, or nothing that finds faces is here.
    """
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(restorer.faces_preview(read(path, options), options)).save(buffer, "PNG")
    write(target, buffer.getvalue())


def read(path: Path, options: RestoreOptions) -> bytes:
    """A file's bytes.

    Raises:
        OptionsError: they cannot be had.
        ImageTooLarge: there are more than ``options`` allow; then they are not read.
    """
    from models.restorer import limits_of

    limits = limits_of(options)
    try:
        with path.open("rb") as file:
            limits.check_length(os.fstat(file.fileno()).st_size)
            data = read_most(file, limits.max_bytes + 1)  # a device has no size, and need not end
    except OSError as exc:
        raise OptionsError(f"cannot read {path}: {exc.strerror}") from exc
    limits.check_length(len(data))
    return data


def write(path: Path, data: bytes) -> None:
    """A whole file or none; OptionsError where it cannot be written."""
    try:
        write_whole(path, data)
    except OSError as exc:
        raise OptionsError(f"cannot write {path}: {exc.strerror}") from exc


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[float], None]]:
    """A bar on stderr if that is a terminal."""
    with tqdm(total=100, desc=label, unit="%", leave=False, disable=not sys.stderr.isatty()) as bar:

        def advance(fraction: float) -> None:
            bar.update(round(fraction * 100) - bar.n)

        yield advance


class Report:
    """Tells of every result on stdout, and once, on stderr, that nobody judged the faces in them.

    Args:
        as_json: objects instead of words.
        unjudged: why nobody does, as a sentence; None: it is done.
    """

    def __init__(self, *, as_json: bool, unjudged: str | None) -> None:
        self._report, self._unjudged = (report_json if as_json else report_line), unjudged

    def __call__(self, path: Path, out: Path, restored: Restored) -> None:
        """Tell of one."""
        self._report(path, out, restored)
        if self._unjudged is not None and restored.faces_restored:
            say(f"nobody judged whether restored faces are still the same people: {self._unjudged}")
            self._unjudged = None


def report_json(path: Path, out: Path, restored: Restored) -> None:
    """One JSON object on one line of stdout."""
    line = {
        "in": str(path),
        "out": str(out),
        "size_in": list(restored.size_in_wh),
        "size_out": list(restored.size_out_wh),
        "model": restored.model,
        "choice": restored.choice,
        "estimate_s": round(restored.estimate_s, 2),
        "device": restored.device,
        "dtype": restored.dtype,
        "seconds": {stage: round(seconds, 4) for stage, seconds in restored.seconds.items()},
        "faces": [face_json(face) for face in restored.faces],
        "notices": list(restored.notices),
        "recipe": dict(restored.recipe),
    }
    sys.stdout.write(json.dumps(line) + "\n")  # ASCII, which holds every name and which every terminal takes
    sys.stdout.flush()


def face_json(face: FaceReport) -> dict[str, object]:
    """What became of a face, in pixels of IN."""
    return {
        "number": face.number,
        "status": face.status,
        "reason": face.reason,
        "strength": face.strength,
        "similarity": face.similarity,
        "similarity_asked": face.similarity_asked,
        "score": face.face.score,
        "box_xyxy": list(face.face.box_xyxy),
        "landmarks": face.face.landmarks.tolist(),
    }


def report_line(path: Path, out: Path, restored: Restored) -> None:
    """One line of words on stdout."""
    (w, h), (out_w, out_h) = restored.size_in_wh, restored.size_out_wh
    faces = f", faces: {words_for(restored.faces)}" if restored.faces else ""
    notices = f" ({', '.join(restored.notices)})" if restored.notices else ""
    sys.stdout.write(
        f"{path} -> {out}: {w}x{h} -> {out_w}x{out_h} in {restored.seconds['total']:.1f} s{notices}{faces}\n"
    )
    sys.stdout.write(f"  {restored.choice}\n")


def words_for(faces: Sequence[FaceReport]) -> str:
    """Such as: 1 restored, 2 left (too_small)."""
    return ", ".join(f"{face.number} {face.status}{f' ({face.reason})' if face.reason else ''}" for face in faces)


def say(line: str) -> None:
    """To stderr, where it disturbs no JSON."""
    sys.stderr.write(line + "\n")
