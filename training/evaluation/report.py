"""Averages and verdicts as text that is also Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.text import table
from training.evaluation.verdicts import Difference, Mean, verdict

HEAD = (
    "set (pictures), input", "way", "PSNR, dB", "SSIM", "sharpness",
    "agreement, dB", "agreement RGB, dB", "colour error", "drift",
)  # fmt: skip
YARDSTICK_HEAD = ("set, input", "SSIM", "agreement, dB", "sharpness", "SSIM above bicubic", "above Lanczos")


def scores_table(rows: Sequence[Mean], teacher: str | None) -> list[str]:
    """The table, and what its columns mean."""
    cells = [
        [
            f"{row.set} ({row.pictures}), {row.kind}",
            row.way,
            _shown(row.psnr, ".2f"),
            _shown(row.ssim, ".4f"),
            _shown(row.sharpness, ".3f"),
            _shown(row.agreement, ".2f"),
            _shown(row.agreement_rgb, ".2f"),
            _shown(row.colour_difference, ".2f"),
            _shown(row.colour_drift, ".2f"),
        ]
        for row in rows
    ]
    agreement = (
        f"PSNR between an answer and that of {teacher}, on luma, four pixels cut off, then on RGB, whole."
        if teacher
        else "not measured, for want of a teacher."
    )
    return [
        *table(HEAD, cells, left=2),
        "",
        "PSNR, SSIM: luma of BT.601 from 16 to 235, four pixels cut off.",
        "Sharpness: mean gradient of the same luma, relative to the original's.",
        f"Agreement: {agreement}",
        "Colour error: mean absolute difference from the original, both averaged down to the input's size, in levels;",
        "drift: that of a channel's mean, the largest of all pictures.",
    ]


def yardstick_table(found: Sequence[Difference], yardstick: str) -> list[str]:
    """A candidate against the yardstick: the verdict first, then where it comes from."""
    cells = [
        [
            f"{row.set}, {row.kind}",
            _shown(row.ssim, "+.4f"),
            _shown(row.agreement, "+.2f"),
            _shown(row.sharpness, "+.3f"),
            _shown(row.above_bicubic, "+.4f"),
            _shown(row.above_lanczos, "+.4f"),
        ]
        for row in found
    ]
    return [
        f"{found[0].way} beside {yardstick}:",
        "",
        *(f"- {line}" for line in verdict(found, yardstick)),
        "",
        *table(YARDSTICK_HEAD, cells),
    ]


def _shown(value: float | None, form: str) -> str:
    if value is None:
        return "-"
    return f"{value:{form}}" if math.isfinite(value) else "equal"
