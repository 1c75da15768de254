"""``python -m tasks.weights``: bring the weights that a worker works with. Free of torch while they are there.

A worker can start with the model that ships with the repository, so only a model that was asked for by name is fetched,
and what makes results better with ``--fetch pictures``, and restores faces with ``--fetch all``.

Exit status 0 when a worker can start, also where one of several models could not be had; 1 with a line that says why
not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from models.cli import main as models_command
from models.cli.folder import add_folder_option
from models.cli.usage import Parser
from models.errors import RestorationError, WeightsMissing, WeightsRefused
from models.planning.ratings import RATINGS
from models.registry import DEFAULT_MODEL, GROUPS
from models.weights.store import WeightsStore

AUTO = "auto"
# For small photographs and GPUs, for drawings, and for drawings that the others are too slow for.
AUTO_MODELS = (DEFAULT_MODEL, "RealESRGAN_x4plus_anime_6B", "realesr-animevideov3")


def main() -> int:
    """Fetch what is missing; tell whether a worker can start."""
    parser = Parser(prog="python -m tasks.weights", description=__doc__.splitlines()[0])
    add_folder_option(parser, "--dir")
    parser.add_argument("--model", default=AUTO, help="what WORKER_MODEL says (default: auto)", metavar="NAME")
    parser.add_argument(
        "--fetch",
        choices=("needed", "pictures", "all"),
        default="needed",
        help="needed: what a worker cannot start without (default); pictures: whatever makes pictures better; "
        "all: what restores faces, too",
    )
    args = parser.parse_args()
    missing = _missing(args.dir, args.model, args.fetch)
    fetched = models_command(["weights", "fetch", "--dir", str(args.dir), *missing]) if missing else 0
    try:
        check_weights(args.dir, args.model)
    except RestorationError as error:
        if fetched == 0:  # else it has said why not
            sys.stderr.write(f"error: {error}\n")
        return 1
    lacking = _not_sound(args.dir, missing) if fetched != 0 else []
    for what, names in (
        ("the other models do its work", [name for name in lacking if name not in GROUPS["faces"]]),
        (
            "faces stay as they are, are found less surely, or are not judged",
            [name for name in lacking if name in GROUPS["faces"]],
        ),
    ):
        if names:
            sys.stderr.write(f"warning: without {', '.join(names)} {what}\n")
    return 0


def check_weights(folder: Path, model: str) -> None:
    """Make sure that a worker will find its models, sound to the last byte.

    Args:
        folder: the weights folder.
        model: a name, or ``auto`` for those of the planner's models that are there or shipped.

    Raises:
        OptionsError: no model is called that, or it is one for faces.
        WeightsError: the weights are missing or damaged; the message says which command brings them.
    """
    store = WeightsStore(folder)
    if model != AUTO:
        store.verify(model, role="upsampler")
        return
    found = [name for name in RATINGS if _is_there(store, name)]
    if not found:
        raise WeightsMissing(
            f"no weights are in {folder}; bring them with: python -m models weights fetch {' '.join(AUTO_MODELS)}"
        )


def _missing(folder: Path, model: str, fetch: str) -> list[str]:
    """What has to be fetched."""
    names = AUTO_MODELS if model == AUTO else (model,)
    if fetch != "needed":
        return _not_sound(folder, dict.fromkeys((*names, *AUTO_MODELS, *(GROUPS["faces"] if fetch == "all" else ()))))
    try:
        check_weights(folder, model)
    except WeightsMissing:
        return _not_sound(folder, names)
    except WeightsRefused:
        return _not_sound(folder, names, because=WeightsRefused)
    except RestorationError:  # which will be said
        return []
    return []


def _is_there(store: WeightsStore, name: str) -> bool:
    """Whether a model is there, sound; one that is damaged is an error, not a model less."""
    try:
        return bool(store.verify(name))
    except WeightsMissing:
        return False


def _not_sound(folder: Path, names: Iterable[str], *, because: type[RestorationError] = RestorationError) -> list[str]:
    store = WeightsStore(folder)
    unsound = []
    for name in names:
        try:
            store.verify(name)
        except because:
            unsound.append(name)
        except RestorationError:
            continue
    return unsound


if __name__ == "__main__":
    sys.exit(main())
