"""The figures: time and memory against size, and how far a cut can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # before pyplot: there may be no screen

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from benchmarks.memory import MOST_BYTES
from benchmarks.whole import Trip

DPI = 100
SEEN = 1e-4  # levels; below, 8 bits never show it

plt.rcParams.update({"font.size": 11, "axes.grid": True, "grid.alpha": 0.3, "axes.spines.top": False})
plt.rcParams.update({"axes.spines.right": False})


def time_and_memory(trips: Sequence[Trip], memory: Sequence[dict[str, object]], folder: Path) -> None:
    """``time.png``, ``memory.png`` and both side by side in ``figure.png``."""
    for name, parts in (("time", ("time",)), ("memory", ("memory",)), ("figure", ("time", "memory"))):
        figure, axes = plt.subplots(1, len(parts), figsize=(5.5 * len(parts), 4.2), layout="constrained", squeeze=False)
        for part, axis in zip(parts, axes[0], strict=True):
            _time(axis, trips) if part == "time" else _memory(axis, memory)
        figure.savefig(folder / f"{name}.png", dpi=DPI)
        plt.close(figure)


def seams(curves: Sequence[dict[str, object]], folder: Path) -> None:
    """``seams.png``: mean difference by distance from the cut, one line a network."""
    figure, axis = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for curve in curves:
        axis.plot(curve["distance"], [max(value, SEEN / 10) for value in curve["mean"]], label=str(curve["model"]))  # type: ignore[arg-type, attr-defined]
    axis.set(
        yscale="log", xlabel="distance from the cut, px of the input", ylabel="mean difference, levels of 8 bits",
        title="How far a cut can be seen, float32",
    )  # fmt: skip
    axis.legend()
    figure.savefig(folder / "seams.png", dpi=DPI)
    plt.close(figure)


def _time(axis: Axes, trips: Sequence[Trip]) -> None:
    for name in dict.fromkeys(one.model for one in trips):
        mine = [one for one in trips if one.model == name]
        axis.plot([one.pixels / 1e6 for one in mine], [one.seconds["total"] for one in mine], "o-", label=name)
    axis.set(xscale="log", yscale="log", xlabel="picture, megapixels", ylabel="seconds, file to file")
    axis.set_title("Time, ×4")
    _plain_numbers(axis)
    axis.legend()


def _memory(axis: Axes, rows: Sequence[dict[str, object]]) -> None:
    sizes = [float(row["megapixels"]) for row in rows]  # type: ignore[arg-type]
    for key, label in (("total_bytes", "restorer and decoding process"), ("own_bytes", "restorer")):
        axis.plot(sizes, [float(row[key]) / 1e6 for row in rows], "o-", label=label)  # type: ignore[arg-type]
    axis.axhline(MOST_BYTES / 1e6, color="gray", linestyle="--", label="promised for 24 megapixels")
    axis.set(xscale="log", yscale="log", xlabel="picture, megapixels", ylabel="peak memory, MB")
    axis.set_title("Memory, ×2")
    _plain_numbers(axis)
    axis.legend()


def _plain_numbers(axis: Axes) -> None:
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
