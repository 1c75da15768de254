"""``python -m benchmarks.quality``: how close to the truth, and how true to the colours, beside bicubic and Lanczos.

Each picture of a set is the truth. Its bicubic reduction to a quarter of the sides (Pillow's, which is close to
MATLAB's) is the input, once as PNG and once as JPEG of quality 60; every way makes it four times as large again. PSNR
and SSIM are on luma with four pixels cut off; colours are compared between the result, averaged down, and the input.
Averages over each set: Set5 and Set14 share pictures, so no average goes over both.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from benchmarks import machine, scores
from benchmarks.pictures import SHARED
from benchmarks.text import table
from models.engine.device import pick_engine
from models.errors import RestorationError, WeightsMissing
from models.options import RestoreOptions
from models.registry import MODELS
from models.restorer import Restorer
from models.weights.store import DEFAULT_FOLDER, WeightsStore

Levels = NDArray[np.uint8]
Way = Callable[[Levels, bytes], Levels]

SCALE = 4
SETS = ("set5", "set14", "kodak")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
JPEG_QUALITY = 60
QUICK_PICTURES, QUICK_SIDE = 2, 128  # of each set, in the truth
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "Lanczos": Image.Resampling.LANCZOS}
HEAD = ("set, input", "way", "PSNR, dB", "SSIM", "colour difference", "largest drift", "ΔE")


@dataclass(frozen=True, kw_only=True)
class Score:
    """One way on one picture."""

    set: str
    picture: str
    sent: str
    way: str
    psnr: float
    ssim: float
    colour_difference: float
    colour_drift: float
    delta_e: float


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; the exit status."""
    args = _arguments(arguments)
    sets = albums(args.pictures, quick=args.quick)
    if not sets:
        where = args.pictures or SHARED / "images/eval"
        sys.stderr.write(f"no pictures in {where}; name a folder of your own with --pictures\n")
        return 1
    try:
        restorers = opened(args)
    except RestorationError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    ways = {**{name: enlarged_by(filter_) for name, filter_ in FILTERS.items()}, **restored_by(restorers)}
    total = sum(map(len, sets.values())) * 2 * len(ways)
    with tqdm(total=total, unit=" results", file=sys.stderr, disable=None) as bar:
        rows = [
            score
            for name, files in sets.items()
            for file in files
            for score in scored(name, file, ways, quick=args.quick, done=lambda: bar.update(1))
        ]
    facts = machine.facts(pick_engine(args.device).device)
    lines = [f"Quality of results at ×{SCALE}: {machine.in_words(facts)}", "", *report(rows)]
    args.out.mkdir(parents=True, exist_ok=True)
    document = {"machine": facts, "quick": args.quick, "means": means(rows), "scores": [asdict(row) for row in rows]}
    (args.out / "quality.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (args.out / "quality.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def albums(folder: Path | None, *, quick: bool) -> dict[str, list[Path]]:
    """Name of each set that is here to its pictures."""
    folders = [folder] if folder else [SHARED / "images/eval" / name for name in SETS]
    found = {
        place.name: sorted(file for file in place.iterdir() if file.suffix.lower() in SUFFIXES)
        for place in folders
        if place.is_dir()
    }
    return {name: files[: QUICK_PICTURES if quick else None] for name, files in found.items() if files}


def opened(args: argparse.Namespace) -> dict[str, Restorer]:
    """A restorer for each model that was named, or for each that is in the folder."""
    rows = WeightsStore(args.weights_dir).list()
    here = [row for row in rows if row.state == "present" and row.role == "upsampler"]
    names = args.models or [row.name for row in here if row.scale == SCALE or row.name not in MODELS]
    if not names:
        raise WeightsMissing(f"no weights in {args.weights_dir}; bring them with: python -m models weights fetch NAME")
    return {name: Restorer.open(name, weights_dir=args.weights_dir, device=args.device) for name in names}


def enlarged_by(resampling: Image.Resampling) -> Way:
    """What any program does without a network."""

    def enlarge(lq: Levels, _data: bytes) -> Levels:
        height, width = lq.shape[:2]
        return np.asarray(Image.fromarray(lq).resize((width * SCALE, height * SCALE), resampling))

    return enlarge


def restored_by(restorers: Mapping[str, Restorer]) -> dict[str, Way]:
    """Every model with and without its colours locked, file to file."""

    def way(restorer: Restorer, options: RestoreOptions) -> Way:
        def restore(_lq: Levels, data: bytes) -> Levels:
            return read(restorer.restore(data, options).data)

        return restore

    return {
        f"{name}{'' if lock else ', no colour lock'}": way(
            restorer, RestoreOptions(model=name, outscale=SCALE, colour_lock=lock, output_format="png")
        )
        for name, restorer in restorers.items()
        for lock in (True, False)
    }


def scored(
    set_name: str, file: Path, ways: Mapping[str, Way], *, quick: bool, done: Callable[[], object]
) -> Iterable[Score]:
    """All ways on one picture, sent in both formats."""
    truth = cropped(read(file.read_bytes()), QUICK_SIDE if quick else None)
    height, width = truth.shape[:2]
    reduced = Image.fromarray(truth).resize((width // SCALE, height // SCALE), Image.Resampling.BICUBIC)
    expected = scores.within(scores.luma(truth), SCALE)
    for sent, how in (("PNG", {}), (f"JPEG q{JPEG_QUALITY}", {"quality": JPEG_QUALITY})):
        stream = io.BytesIO()
        reduced.save(stream, sent.partition(" ")[0], **how)
        lq = read(stream.getvalue())
        for name, way in ways.items():
            result = way(lq, stream.getvalue())
            ours = scores.within(scores.luma(result), SCALE)
            yield Score(
                set=set_name, picture=file.stem, sent=sent, way=name,
                psnr=scores.psnr(ours, expected), ssim=scores.ssim(ours, expected),
                colour_difference=scores.colour_difference(result, lq),
                colour_drift=scores.colour_drift(result, lq), delta_e=scores.delta_e(result, lq),
            )  # fmt: skip
            done()


def read(data: bytes) -> Levels:
    """Gray as (H, W), everything else as (H, W, 3)."""
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image.convert("L" if image.mode in {"1", "L", "LA", "I;16"} else "RGB"))


def cropped(truth: Levels, side: int | None) -> Levels:
    """The middle of a picture, with sides that the scale divides."""
    height, width = (min(n, side or n) // SCALE * SCALE for n in truth.shape[:2])
    top, left = (truth.shape[0] - height) // 2, (truth.shape[1] - width) // 2
    return np.ascontiguousarray(truth[top : top + height, left : left + width])


def means(rows: Iterable[Score]) -> list[dict[str, object]]:
    """By set, input and way; of the drift not the mean but the largest."""
    groups: dict[tuple[str, str, str], list[Score]] = {}
    for row in rows:
        groups.setdefault((row.set, row.sent, row.way), []).append(row)
    return [
        {
            "set": key[0], "sent": key[1], "way": key[2], "pictures": len(group),
            "psnr": float(np.mean([row.psnr for row in group])),
            "ssim": float(np.mean([row.ssim for row in group])),
            "colour_difference": float(np.mean([row.colour_difference for row in group])),
            "largest_drift": max(row.colour_drift for row in group),
            "delta_e": float(np.mean([row.delta_e for row in group])),
        }
        for key, group in groups.items()
    ]  # fmt: skip


def report(rows: Iterable[Score]) -> list[str]:
    """The table, and what its columns mean."""
    cells = [
        [
            f"{row['set']} ({row['pictures']}), {row['sent']}",
            str(row["way"]),
            f"{row['psnr']:.2f}",
            f"{row['ssim']:.4f}",
            f"{row['colour_difference']:.2f}",
            f"{row['largest_drift']:.3f}",
            f"{row['delta_e']:.2f}",
        ]
        for row in means(rows)
    ]
    return [
        *table(HEAD, cells, left=2),
        "",
        "Colours: the result averaged down against the input, in levels of 8 bits. The difference is over all pixels;",
        "the drift is that of a channel's mean, the largest of all pictures of the set.",
    ]


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=Path, help="a folder of your own (default: Set5, Set14 and Kodak)")
    parser.add_argument("--model", dest="models", nargs="+", help="default: all of the weights folder that make ×4")
    parser.add_argument("--quick", action="store_true", help="the middle of two pictures of each set")
    parser.add_argument("--weights-dir", type=Path, default=DEFAULT_FOLDER, help="folder of weights")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("var/bench"), help="folder (default: %(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
