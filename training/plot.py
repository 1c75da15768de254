"""The curves of runs: loss, and what the validation patches say, over steps."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # before pyplot: there may be no screen

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from training.errors import DataError
from training.trainer import LOG, VALIDATION

SMOOTHED = 0.05  # of a run: losses jump from batch to batch
PANELS = {"loss": "loss, smoothed", "agreement": "agreement with the teacher, dB", "psnr": "PSNR, dB",
          "ssim": "SSIM", "sharpness": "sharpness, relative to the truth"}  # fmt: skip

Curves = dict[str, tuple[list[float], list[float]]]  # steps and values by column


def plot(runs: Sequence[Path], target: Path) -> None:
    """Write one picture with a panel for each figure and a line for each run.

    Args:
        runs: folders of runs, as ``train.folder`` names them.
        target: the picture, PNG, SVG or what else its name ends in.

    Raises:
        DataError: a folder has no log, or the picture's format is none that can be written.
    """
    read = {run.name: {**_read(run / LOG), **_read(run / VALIDATION, required=False)} for run in runs}
    panels = [name for name in PANELS if any(name in curves for curves in read.values())]
    figure, axes = plt.subplots(1, len(panels), figsize=(4.2 * len(panels), 3.6), layout="constrained", squeeze=False)
    try:
        for axis, panel in zip(axes[0], panels, strict=True):
            for run, curves in read.items():
                if panel in curves:
                    _line(axis, *curves[panel], label=run, smooth=panel == "loss")
            axis.set(xlabel="step", title=PANELS[panel])
            axis.grid(alpha=0.3)
        axes[0][0].legend()
        figure.savefig(target, dpi=100)
    except ValueError as error:
        raise DataError(f"{target}: {error}") from error
    finally:
        plt.close(figure)


def _line(axis: Axes, steps: list[float], values: list[float], *, label: str, smooth: bool) -> None:
    if smooth:
        width = max(1, round(len(values) * SMOOTHED))
        values = [sum(part) / len(part) for part in (values[max(0, i - width) : i + 1] for i in range(len(values)))]
    axis.plot(steps, values, label=label, marker="" if smooth else ".")


def _read(path: Path, *, required: bool = True) -> Curves:
    if not path.is_file():
        if required:
            raise DataError(f"{path} is not there: name the folder of a run (train.folder)")
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    names = {name for row in rows for name in row} - {"step"}
    return {
        name: ([row["step"] for row in rows if name in row], [row[name] for row in rows if name in row])
        for name in names
    }
