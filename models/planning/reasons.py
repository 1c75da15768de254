"""Why a way was chosen: as codes with numbers, and in English."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from models.planning.offers import Budget, Kind, Wishes
from models.planning.scales import USUAL_OUTSCALE
from models.planning.ways import Way

MODEL_CODES = frozenset(  # of the reasons that tell why this model
    {"model_wished", "no_model_for_kind", "model_best", "model_of_that_scale", "model_everyday", "model_quicker"}
)
TIME_CODES = ("time", "over_time")  # of the reasons that tell the whole time


class Reason(NamedTuple):
    """Why something was chosen: a stable code and the numbers of its sentence, see :func:`sentence`."""

    code: str
    params: Mapping[str, str | int | float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A way, and what it was chosen over.

    Args:
        chosen: the way.
        best: what would have been chosen at this outscale without limits of time.
        kind: of the picture.
        purpose: what the models that were to be had were made for.
        wishes: what the owner asked for.
        first_outscale: the largest that was tried.
        broken: the first hard limit that ruled out a way: its name, what was needed, what there is.
        best_is_slow: whether the best takes longer than people like to wait.
    """

    chosen: Way
    best: Way
    kind: Kind
    purpose: Kind
    wishes: Wishes
    first_outscale: float
    broken: tuple[str, int, int] | None
    best_is_slow: bool = False

    @property
    def of_that_scale(self) -> bool:
        """A network that makes a smaller scale than the best, and so was made for results of this size."""
        return self.chosen.candidate.scale < self.best.candidate.scale

    @property
    def quicker(self) -> bool:
        """A model that is not the best, for want of time."""
        return self._second_best and not self.everyday

    @property
    def everyday(self) -> bool:
        """A model that is not the best, but what people usually get: they need not be told."""
        return self._second_best and self.chosen.candidate.everyday and self.best_is_slow

    @property
    def _second_best(self) -> bool:
        return self.chosen.candidate != self.best.candidate and not self.of_that_scale

    @property
    def notices(self) -> tuple[str, ...]:
        """What the owner must be told."""
        told = []
        if self.wishes.outscale is None and self.chosen.outscale < USUAL_OUTSCALE:
            told.append("scale_limited" if self.chosen.outscale > 1 else "cleaned_only")
        if self.chosen.factor > 1:
            told.append("reduced_first")
        if self.quicker:
            told.append("fast_model")
        return tuple(told)


def reasons_of(choice: Choice, budget: Budget) -> tuple[Reason, ...]:
    """Everything there is to say about a choice: the model, the scale, the time."""
    reasons = [*_about_the_model(choice, budget), *_about_the_scale(choice)]
    chosen, seconds = choice.chosen, choice.chosen.seconds(budget)
    if chosen.factor > 1:
        best_s = choice.best.seconds(budget)
        reasons.append(Reason("reduced_soft", {"factor": chosen.factor, "best_s": best_s}))
    over = seconds > budget.allowed_s
    reasons.append(Reason("over_time" if over else "time", {"seconds": seconds, "allowed_s": budget.allowed_s}))
    return tuple(reasons)


def _about_the_model(choice: Choice, budget: Budget) -> list[Reason]:
    name, best, best_s = choice.chosen.candidate.name, choice.best.candidate.name, choice.best.seconds(budget)
    if choice.wishes.model is not None:
        return [Reason("model_wished", {"model": name})]
    told = []
    if choice.purpose != choice.kind:
        told.append(Reason("no_model_for_kind", {"kind": choice.kind, "purpose": choice.purpose}))
    if choice.everyday:
        seconds = {"best_s": best_s, "patience_s": budget.worth_waiting_s}
        told.append(Reason("model_everyday", {"model": name, "best": best, **seconds}))
    elif choice.quicker:
        told.append(Reason("model_quicker", {"model": name, "best": best, "best_s": best_s}))
    elif choice.of_that_scale:
        told.append(Reason("model_of_that_scale", {"model": name, "best": best, "best_s": best_s}))
    else:
        told.append(Reason("model_best", {"model": name, "kind": choice.kind}))
    return told


def _about_the_scale(choice: Choice) -> list[Reason]:
    chosen, (width, height) = choice.chosen, choice.chosen.size_wh
    if choice.wishes.outscale is not None:
        code = "scale_beyond_network" if chosen.is_grown else "scale_wished"
        return [Reason(code, {"outscale": chosen.outscale, "scale": chosen.candidate.scale})]
    size: dict[str, str | int | float] = {"outscale": chosen.outscale, "width": width, "height": height}
    if chosen.outscale < choice.first_outscale:
        size["wanted"] = choice.first_outscale
        if choice.broken is None:
            return [Reason("scale_limited_by_time", size)]
        what, needed, most = choice.broken
        return [Reason(f"scale_limited_by_{what}", {**size, "needed": needed, "most": most})]
    if choice.kind == "text" and chosen.outscale > 1:
        return [Reason("scale_of_text", size)]
    return [Reason("scale_by_size", size)]
