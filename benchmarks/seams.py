"""How far the picture's end reaches into what a network makes of it, and what hiding it costs.

Each picture goes through whole, and again without what lies right of a column. Any difference between the two is what
the cut did; it is looked at by its distance from the cut. In float32 and 16 bits a sample, so that a ten-thousandth of
a level of 8 bits shows. A cut between two slabs that overlap by N px on either side is seen as at distance N.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks import machine
from benchmarks.pictures import RGB, SHARED, mosaic, smooth_noise
from benchmarks.pictures import photo as read
from benchmarks.text import table
from models.engine.device import pick_engine
from models.engine.model import hidden_overlap, make_upsampler
from models.engine.upsampler import Tiling, Upsampler
from models.loading import load_model

MODELS = ("RealESRGAN_x4plus", "RealESRGAN_x4plus_anime_6B", "realesr-animevideov3")
PICTURES = tuple(f"images/eval/kodak/kodim{number:02d}.png" for number in (1, 5, 7, 8))
WIDTH, CUT, HEIGHT = 416, 208, 128  # px
DISTANCES = (0, 8, 16, 24, 32, 40, 48, 64, 80, 96, 112, 128, 160)
SLAB = 1000  # px of core that the cost is given for
LEVEL = 257.0  # steps of 16 bits in one of 8
ROWS = 32  # at a time; the numbers do not depend on it

Curve = NDArray[np.float64]


def main(models: Sequence[str], weights_dir: Path, out: Path, *, quick: bool) -> list[str]:
    """Measure every model; the tables, after writing ``seams.json`` and ``seams.png``."""
    from benchmarks import plots

    pictures = chosen_pictures(1 if quick else len(PICTURES))
    curves: list[dict[str, object]] = []
    lines = [
        f"How far a cut can be seen, float32: {machine.in_words(machine.facts(torch.device('cpu')))}",
        f"{len(pictures)} pictures of {WIDTH}x{HEIGHT}, each cut once, all rows and channels",
        "",
    ]
    with tqdm(total=len(models) * len(pictures), unit=" pictures", file=sys.stderr, disable=None) as bar:
        for name in models:
            bar.set_description(name)
            upsampler = make_upsampler(load_model(name, weights_dir), pick_engine("cpu", "float32"))
            seen = []
            for picture in pictures:
                seen.append(difference(upsampler, picture))
                bar.update(1)
            curve = as_curve(name, np.concatenate(seen), hidden_overlap(upsampler.network))
            curves.append(curve)
            lines += [*curve_lines(curve), ""]
    (out / "seams.json").write_text(json.dumps({"pictures": len(pictures), "curves": curves}, indent=1) + "\n")
    (out / "seams.md").write_text("\n".join(lines), encoding="utf-8")
    plots.seams(curves, out)
    return lines


def chosen_pictures(count: int) -> list[RGB]:
    """Parts of Kodak pictures, or noise where they are not here."""
    files = [SHARED / name for name in PICTURES[:count]]
    sources = [read(file)[0] if file.is_file() else smooth_noise(WIDTH) for file in files]
    return [mosaic(source, WIDTH, HEIGHT) for source in sources]


def difference(upsampler: Upsampler, picture: RGB, *, cut: int = CUT) -> Curve:
    """Absolute differences in levels of 8 bits by distance from the cut: (rows * scale, cut, scale * 3)."""
    wide = picture.astype(np.uint16) * int(LEVEL)
    how = Tiling(tile=0, overlap=0, rows=ROWS)
    whole = upsampler(wide, how)[:, : cut * upsampler.scale].astype(np.float64)
    part = upsampler(np.ascontiguousarray(wide[:, :cut]), how)
    off: Curve = np.abs(whole - part) / LEVEL
    return np.ascontiguousarray(off.reshape(len(off), cut, -1)[:, ::-1])


def as_curve(name: str, off: Curve, overlap: int) -> dict[str, object]:
    """Mean, share above one level and the largest, by distance in pixels of the input."""
    return {
        "model": name,
        "overlap": overlap,
        "distance": list(range(off.shape[1])),
        "mean": off.mean(axis=(0, 2)).tolist(),
        "above_one_level": (off > 1).mean(axis=(0, 2)).tolist(),
        "largest": off.max(axis=(0, 2)).tolist(),
    }


def curve_lines(curve: dict[str, object]) -> list[str]:
    """A row for some distances, with what that overlap costs."""
    mean, above, largest = (curve[key] for key in ("mean", "above_one_level", "largest"))
    rows = [
        [
            f"{distance} px",
            f"{mean[distance]:.5f}",  # type: ignore[index]
            f"{above[distance]:.3%}",  # type: ignore[index]
            f"{largest[distance]:.3f}",  # type: ignore[index]
            f"{work_factor(distance):.3f}",
        ]
        for distance in DISTANCES
    ]
    head = ("distance from the cut", "mean, levels", "above 1 level", "largest, levels", f"work, slabs of {SLAB} px")
    return [f"{curve['model']}, which Restora cuts with {curve['overlap']} px of overlap", "", *table(head, rows)]


def work_factor(overlap: int, slab: int = SLAB) -> float:
    """Pixels that the network sees over pixels of the picture, where slabs have neighbours on both sides."""
    return (slab + 2 * overlap) / slab
