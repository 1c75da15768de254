"""What the scores amount to: averages, who is not better than doing nothing, and who reaches the yardstick."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluation.measures import Score
from training.evaluation.pictures import CLEAN
from training.evaluation.ways import BICUBIC, DO_NOTHING, LANCZOS

MARGIN = 0.015  # of SSIM, by which a model should be above the filters on degraded input
Place = tuple[str, str]
"""Set and kind of input: what one average goes over. Sets share pictures, so no average goes over several."""


@dataclass(frozen=True, kw_only=True)
class Mean:
    """One way on one kind of input of one set; fields as of :class:`Score`, averaged, but of the drift the largest."""

    set: str
    kind: str
    way: str
    pictures: int
    psnr: float
    ssim: float
    sharpness: float | None
    agreement: float | None
    agreement_rgb: float | None
    colour_difference: float
    colour_drift: float

    @property
    def place(self) -> Place:
        """Where it may be compared with others."""
        return self.set, self.kind

    @property
    def is_degraded(self) -> bool:
        """Whether more was done to the input than making it smaller."""
        return self.kind != CLEAN


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A candidate minus the yardstick, and minus the two filters, in one place; None where not measured."""

    set: str
    kind: str
    way: str
    ssim: float
    agreement: float | None
    sharpness: float | None
    above_bicubic: float | None
    above_lanczos: float | None


def means(scores: Iterable[Score]) -> list[Mean]:
    """Average over the pictures of each set, by kind and way, in the order they came."""
    groups: dict[tuple[str, str, str], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.set, score.kind, score.way), []).append(score)
    return [
        Mean(
            set=name,
            kind=kind,
            way=way,
            pictures=len(group),
            psnr=float(np.mean([score.psnr for score in group])),
            ssim=float(np.mean([score.ssim for score in group])),
            sharpness=_mean_of_known(score.sharpness for score in group),
            agreement=_mean_of_known(score.agreement for score in group),
            agreement_rgb=_mean_of_known(score.agreement_rgb for score in group),
            colour_difference=float(np.mean([score.colour_difference for score in group])),
            colour_drift=max(score.colour_drift for score in group),
        )
        for (name, kind, way), group in groups.items()
    ]


def not_better_than_nothing(rows: Sequence[Mean], models: Iterable[str]) -> list[str]:
    """A sentence for every place with degraded input where doing nothing, or bicubic, is as good as a model in SSIM."""
    ours = {(row.way, row.place): row for row in rows}
    return [
        f"{model} is no better than {baseline} on {where[0]}, {where[1]}: SSIM {row.ssim:.4f}, not above {least:.4f}."
        for model in models
        for (way, where), row in ours.items()
        if way == model and row.is_degraded
        for baseline in (DO_NOTHING, BICUBIC)
        if row.ssim <= (least := ours[baseline, where].ssim)
    ]


def differences(rows: Sequence[Mean], candidate: str, yardstick: str) -> list[Difference]:
    """The candidate beside the yardstick, place by place."""
    ours = {(row.way, row.place): row for row in rows}
    found = []
    for (way, where), row in ours.items():
        if way == candidate:
            least = ours[yardstick, where]
            filters = [ours[name, where].ssim if row.is_degraded else None for name in (BICUBIC, LANCZOS)]
            above = [None if ssim is None else row.ssim - ssim for ssim in filters]
            found.append(
                Difference(
                    set=row.set,
                    kind=row.kind,
                    way=candidate,
                    ssim=row.ssim - least.ssim,
                    agreement=_minus(row.agreement, least.agreement),
                    sharpness=_minus(row.sharpness, least.sharpness),
                    above_bicubic=above[0],
                    above_lanczos=above[1],
                )
            )
    return found


def verdict(found: Sequence[Difference], yardstick: str) -> list[str]:
    """A line for every criterion: reached in every place, or in how many, and where it is furthest from it."""
    criteria: tuple[tuple[str, Callable[[Difference], float | None], float, str], ...] = (
        (f"SSIM at least that of {yardstick}", lambda row: row.ssim, 0.0, "+.4f"),
        (f"agreement (luma) at least that of {yardstick}", lambda row: row.agreement, 0.0, "+.2f"),
        (f"sharpness at least that of {yardstick}", lambda row: row.sharpness, 0.0, "+.3f"),
        (f"SSIM {MARGIN} above {BICUBIC} on degraded input", lambda row: row.above_bicubic, MARGIN, "+.4f"),
        (f"SSIM {MARGIN} above {LANCZOS} on degraded input", lambda row: row.above_lanczos, MARGIN, "+.4f"),
    )
    return [_judged(name, found, value, least, form) for name, value, least, form in criteria]


def _judged(
    criterion: str, found: Sequence[Difference], value: Callable[[Difference], float | None], least: float, form: str
) -> str:
    known = [(number, f"{row.set}, {row.kind}") for row in found if (number := value(row)) is not None]
    if not known:
        return f"not measured: {criterion}"
    reached = sum(number >= least for number, _ in known)
    lowest, where = min(known)
    return (
        f"{'reached' if reached == len(known) else 'MISSED'}: {criterion}: "
        f"{reached} of {len(known)}, lowest {lowest:{form}} ({where})"
    )


def _minus(a: float | None, b: float | None) -> float | None:
    if a is None or b is None:
        return None
    return 0.0 if a == b else a - b  # two infinite ones are equal


def _mean_of_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
