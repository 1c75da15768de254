"""``python -m training.evaluation``: how good networks are, beside doing nothing, bicubic and Lanczos.

Every picture with a true original is degraded in every way asked for, with chance fixed by seed, picture and way; every
network makes it four times as large again, bare, in float32. Averages go over each set on its own. The exit status is 1
when, on degraded input, doing nothing or bicubic is as good as a model in SSIM, and 2 when the comparison is refused.
LPIPS is left out: it needs the weights of two more networks.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tqdm import tqdm

from benchmarks.quality import QUICK_SIDE
from models.engine.device import pick_engine
from models.errors import RestorationError, WeightsMissing
from models.weights.store import DEFAULT_FOLDER
from training.degradations import SCALE
from training.evaluation import sheets
from training.evaluation.errors import EvaluationError
from training.evaluation.measures import Score, score
from training.evaluation.pictures import (
    KINDS,
    SETS,
    Levels,
    albums,
    middle,
    opened,
    refuse_trained,
    samples,
)
from training.evaluation.report import scores_table, yardstick_table
from training.evaluation.verdicts import Difference, Mean, differences, means, not_better_than_nothing
from training.evaluation.ways import LANCZOS, Network, Way, baselines, labels, open_network

TEACHER = "RealESRGAN_x4plus"
ANSWERS = Path("var/evaluation")
ROWS = 12


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Who is compared: every way by its name, and which of them are judged and compared with."""

    ways: Mapping[str, Way]
    models: Sequence[str]
    teacher: str | None
    yardstick: str | None

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the weights of every network."""
        return {name: way.digest for name, way in self.ways.items() if isinstance(way, Network)}


@dataclass(kw_only=True)
class Findings:
    """What came of it."""

    scores: list[Score] = field(default_factory=list)
    rows: list[sheets.Row] = field(default_factory=list)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; the exit status."""
    args = _arguments(arguments)
    try:
        sets = {} if args.only_looks else albums(args.pictures, args.sets, quick=args.quick)
        if args.train_index:
            refuse_trained([*args.looks, *(file for files in sets.values() for file in files)], args.train_index)
        contest = _contest(args)
        found = Findings()
        if sets:
            _measure(args, contest, sets, found)
        found.rows += _looked_at(args, contest) if args.sheet else []
    except (EvaluationError, RestorationError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    if args.sheet and found.rows:
        sheets.write(found.rows, args.sheet)
    return _tell(args, contest, found.scores) if found.scores else 0


def _measure(args: argparse.Namespace, contest: Contest, sets: Mapping[str, Sequence[Path]], found: Findings) -> None:
    """Score all ways on all samples, and keep some answers for the sheet."""
    pictures, kinds = sum(map(len, sets.values())), len(args.inputs)
    shown = sheets.spread(pictures, kinds, args.rows) if args.sheet else set()
    total = pictures * kinds * len(contest.ways)
    with tqdm(total=total, unit=" results", file=sys.stderr, disable=None) as bar:
        every = samples(sets, args.inputs, seed=args.seed, crop=QUICK_SIDE if args.quick else args.crop)
        for number, sample in enumerate(every):
            answers = {}
            for name, way in contest.ways.items():
                answers[name] = way(sample.lq)
                bar.update(1)
            for name, sr in answers.items():
                teacher = answers[contest.teacher] if contest.teacher not in {None, name} else None
                found.scores.append(score(sample, name, sr, teacher=teacher))
            if divmod(number, kinds) in shown:
                title = f"{sample.set}/{sample.picture}, {sample.kind}"
                found.rows.append(sheets.Row(title=title, answers=_columns(answers), original=sample.gt))


def _looked_at(args: argparse.Namespace, contest: Contest) -> Iterator[sheets.Row]:
    """Pictures without an original, as they are."""
    for file in tqdm(args.looks, unit=" looks", file=sys.stderr, disable=None):
        lq = middle(opened(file), args.look_crop)
        yield sheets.Row(title=file.stem, answers=_columns({name: way(lq) for name, way in contest.ways.items()}))


def _columns(answers: Mapping[str, Levels]) -> dict[str, Levels]:
    return {name: sr for name, sr in answers.items() if name != LANCZOS}  # not told from bicubic by eye


def _contest(args: argparse.Namespace) -> Contest:
    """Open every network once, whatever it is asked for."""
    engine = pick_engine(args.device, "float32")
    teacher = None if args.teacher == "none" else args.teacher or TEACHER
    asked = dict.fromkeys([*args.models, *filter(None, (args.yardstick, teacher))])
    networks = {}
    for model in asked:
        try:
            networks[model] = open_network(
                model, weights_dir=args.weights_dir, device=engine.device, answers=args.answers
            )
        except WeightsMissing as exc:
            if model in args.models or model == args.yardstick or args.teacher:
                raise
            sys.stderr.write(f"no agreement with {TEACHER} is measured: {exc}\n")
            teacher = None
    called = labels([*networks])
    return Contest(
        ways={**baselines(), **{called[model]: network for model, network in networks.items()}},
        models=[called[model] for model in dict.fromkeys(args.models)],
        teacher=called[teacher] if teacher else None,
        yardstick=called[args.yardstick] if args.yardstick else None,
    )


def _tell(args: argparse.Namespace, contest: Contest, scores: Sequence[Score]) -> int:
    """Print and write the table and the verdicts; the exit status."""
    rows = means(scores)
    crop = QUICK_SIDE if args.quick else args.crop
    part = f"the middle {crop} px of each" if crop else "whole"
    lines = [f"Evaluation at ×{SCALE}: seed {args.seed}, pictures {part}", "", *scores_table(rows, contest.teacher)]
    candidates = [model for model in contest.models if contest.yardstick not in {None, model}]
    compared = {model: differences(rows, model, str(contest.yardstick)) for model in candidates}
    for found in compared.values():
        lines += ["", *yardstick_table(found, str(contest.yardstick))]
    failures = not_better_than_nothing(rows, contest.models)
    if any(row.is_degraded for row in rows):
        lines += ["", *(failures or ["Every model is better than doing nothing and than bicubic on degraded input."])]
    else:
        lines += ["", "Not checked against doing nothing: no degraded input was asked for."]
    if args.markdown:
        _write(args.markdown, "\n".join(lines) + "\n")
    if args.json:
        document = {
            "seed": args.seed,
            "crop": crop,
            "inputs": args.inputs,
            "weights_sha256": contest.digests,
            "teacher": contest.teacher,
            "yardstick": contest.yardstick,
            "means": [_plain(row) for row in rows],
            "differences": {model: [_plain(row) for row in found] for model, found in compared.items()},
            "failures": failures,
            "scores": [_plain(each) for each in scores],
        }
        _write(args.json, json.dumps(document, indent=1, allow_nan=False) + "\n")
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stderr.writelines(f"{failure}\n" for failure in failures)
    return 1 if failures else 0


def _plain(row: Mean | Difference | Score) -> dict[str, object]:
    """JSON has no infinity: what is measured between equal pictures becomes null."""
    values = asdict(row).items()
    return {key: None if isinstance(value, float) and math.isinf(value) else value for key, value in values}


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model", dest="models", nargs="+", required=True, metavar="NAME_OR_FILE",
        help="installed models or checkpoint files; these are judged",
    )  # fmt: skip
    parser.add_argument("--yardstick", metavar="NAME_OR_FILE", help="a network that every model should reach")
    parser.add_argument(
        "--teacher", metavar="NAME_OR_FILE",
        help=f"whose answers to agree with; none for no teacher (default: {TEACHER} if installed)",
    )  # fmt: skip
    parser.add_argument("--pictures", type=Path, help="a folder of originals of your own, instead of the sets")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), help="(default: all)")
    parser.add_argument("--inputs", nargs="+", choices=KINDS, default=list(KINDS), help="(default: all)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument(
        "--crop", type=int, default=256,
        help="side of the middle that is measured, px of the original; 0 takes all (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true", help=f"two pictures of each set, the middle {QUICK_SIDE} px of each"
    )
    parser.add_argument(
        "--train-index", type=Path, metavar="FILE",
        help='refuse pictures that were trained on: JSON, {"pictures": [{"sha256": ...}]}',
    )  # fmt: skip
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write what is printed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the averages, and each picture's scores")
    parser.add_argument(
        "--sheet", type=Path, metavar="PNG", help="write a sheet: some of the pictures, and all of --looks"
    )
    parser.add_argument(
        "--rows", type=int, default=ROWS, help="how many pictures with an original it shows (default: %(default)s)"
    )
    parser.add_argument(
        "--looks", type=Path, nargs="+", default=[], metavar="FILE",
        help="pictures without an original, enlarged as they are; only for the sheet",
    )  # fmt: skip
    parser.add_argument("--only-looks", action="store_true", help="measure nothing, only make the sheet of --looks")
    parser.add_argument(
        "--look-crop", type=int, default=80,
        help="side of the middle of each of --looks, px of the input; 0 takes all (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--weights-dir", type=Path, default=DEFAULT_FOLDER, help="folder of weights")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N (default: %(default)s)")
    parser.add_argument(
        "--answers", type=Path, default=ANSWERS,
        help="folder that keeps the answers of slow networks (default: %(default)s)",
    )  # fmt: skip
    args = parser.parse_args(arguments)
    args.inputs = list(dict.fromkeys(args.inputs))  # named twice is measured once
    if args.looks and not args.sheet:
        parser.error("--looks are only shown on a sheet: name its file with --sheet")
    if args.only_looks and not args.looks:
        parser.error("--only-looks needs --looks")
    if min(args.crop, args.look_crop, args.rows) < 0:
        parser.error("a crop is a side in pixels, or 0 for all; rows are 0 or more")
    return args
