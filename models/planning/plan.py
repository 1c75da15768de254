"""Which model, which scale, how long, and why.

The scale comes first: the largest that suits the picture's size and for which any way keeps to the limits and the
time, so that a larger picture of the same traits never grows more than a smaller one. Then the best way to that scale,
unless it takes longer than people like to wait for what an everyday model does at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from models.errors import ImageTooLarge, OptionsError, ResultTooLarge
from models.planning.amounts import counted, seconds
from models.planning.offers import Budget, Candidate, Kind, Wishes, find_candidate
from models.planning.reasons import MODEL_CODES, TIME_CODES, Choice, Reason, reasons_of
from models.planning.scales import ladder
from models.planning.traits import Traits
from models.planning.ways import Way, largest_outscale, ways_to

# Whose models help out where none was made for a kind of picture.
STAND_INS: Mapping[Kind, tuple[Kind, ...]] = {
    "photo": ("photo", "text", "drawing"),
    "drawing": ("drawing", "photo", "text"),
    "text": ("text", "photo", "drawing"),
}

# What a result would have, by the name of the limit that it breaks.
EXCEEDED: Mapping[str, str] = {
    "pixels": "have {} pixels",
    "side": "have a side of {} px",
    "bytes": "have about {} bytes",
    "network": "take {} pixels on the way",
}


class NothingFits(ImageTooLarge):
    """No way to restore the picture within the time.

    Args:
        message: for people, with both numbers.
        needed_s: estimate of the quickest way.
        allowed_s: what an estimate may reach.
    """

    code = "image_too_large"  # the user reads the same sentence

    def __init__(self, message: str, needed_s: float = math.nan, allowed_s: float = math.nan) -> None:
        super().__init__(message, needed_s, allowed_s)
        self.needed_s, self.allowed_s = needed_s, allowed_s

    def __str__(self) -> str:
        """The message without the numbers that repeat it."""
        return str(self.args[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to do with one picture.

    Args:
        model: name of the candidate.
        scale: what its network does.
        lq_wh: what the network sees; smaller than the original where it is reduced first.
        outscale: result side over the original's side.
        size_out_wh: of the result.
        estimate_s: everything from the file to the file; without its faces, see :func:`with_faces`.
        reasons: why, in the order in which it is told.
        notices: stable codes of what the owner must be told: ``scale_limited`` (grows less than usual),
            ``cleaned_only`` (does not grow), ``reduced_first`` (the network sees a reduced copy),
            ``fast_model`` (a quicker model than the best, for want of time; an everyday model needs no notice).
    """

    model: str
    scale: int
    lq_wh: tuple[int, int]
    outscale: float
    size_out_wh: tuple[int, int]
    estimate_s: float
    reasons: tuple[Reason, ...]
    notices: tuple[str, ...] = ()


def as_asked_for(planned: Plan) -> Plan:
    """The same plan where its model was the only one at hand, because somebody had named it before.

    Unlike a wish for this picture, which may take longer than the budget has, that changes nothing but the words.
    """
    others = (reason for reason in planned.reasons if reason.code not in MODEL_CODES)
    return replace(planned, reasons=(Reason("model_wished", {"model": planned.model}), *others))


def with_faces(planned: Plan, count: int, seconds: float) -> Plan:
    """The same plan with the faces in its time, which are known only when the picture has been looked at.

    Args:
        planned: of :func:`plan`.
        count: how many are to be restored.
        seconds: that they will take together, and that looking for them has taken.
    """
    whole_s = planned.estimate_s + seconds
    told = [
        reason._replace(params={**reason.params, "seconds": whole_s}) if reason.code in TIME_CODES else reason
        for reason in planned.reasons
    ]
    faces = [Reason("time_of_faces", {"faces_s": seconds, "count": count})] if count else []
    return replace(planned, estimate_s=whole_s, reasons=(*told, *faces))


def plan(
    size_wh: tuple[int, int],
    traits: Traits,
    candidates: Sequence[Candidate],
    budget: Budget,
    wishes: Wishes | None = None,
    *,
    planes: int = 1,
) -> Plan:
    """Choose for one picture.

    Args:
        size_wh: of the upright original.
        traits: what :func:`models.planning.look_at` saw.
        candidates: what this machine can run.
        budget: limits and time.
        wishes: what the owner asked for; obeyed even if it takes longer than the budget has.
        planes: how often the network has to run: 2 for a picture with transparency.

    Raises:
        OptionsError: no candidates, or none of the wished name.
        ResultTooLarge: the least that was allowed, or just what was wished, breaks a hard limit.
        NothingFits: nothing was wished, and no way is quick enough.
    """
    wishes = wishes or Wishes()
    pool, purpose = _pool(traits.kind, candidates, wishes)
    outscales = ladder(size_wh, traits.kind, pool) if wishes.outscale is None else (wishes.outscale,)
    possible: list[Way] = []
    broken: list[tuple[str, int, int]] = []
    for outscale in outscales:
        ways = list(ways_to(outscale, size_wh, pool, traits, planes))
        ways = ways[:1] if wishes.model is not None else ways  # whoever names a model gets all of it
        broken += [limit for way in ways if (limit := way.exceeded(budget))]
        lawful = [way for way in ways if way.exceeded(budget) is None]
        chosen = _choose(lawful, budget, obey=wishes != Wishes())
        if chosen is not None:
            choice = Choice(
                chosen=chosen, best=ways[0], kind=traits.kind, purpose=purpose, wishes=wishes,
                first_outscale=outscales[0], broken=broken[0] if broken else None,
                best_is_slow=ways[0].seconds(budget) > budget.worth_waiting_s,
            )  # fmt: skip
            return _as_plan(choice, budget)
        possible += lawful
    raise _refusal(size_wh, possible, broken, budget, wished=wishes.outscale, planes=planes)


def _pool(kind: Kind, candidates: Sequence[Candidate], wishes: Wishes) -> tuple[list[Candidate], Kind]:
    """The models to choose from, and what they were made for."""
    if not candidates:
        raise OptionsError("there is no model to plan with")
    if wishes.model is not None:
        return [find_candidate(wishes.model, candidates)], kind
    pools = ((purpose, [c for c in candidates if purpose in c.purposes]) for purpose in STAND_INS[kind])
    purpose, pool = next((purpose, pool) for purpose, pool in pools if pool)
    return pool, purpose


def _choose(lawful: Sequence[Way], budget: Budget, *, obey: bool) -> Way | None:
    """The best way in time, or the everyday way where that would take long.

    Where a wish has to be obeyed and no way is in time, the quickest.
    """
    in_time = [way for way in lawful if way.seconds(budget) <= budget.allowed_s]
    if not in_time:
        return min(lawful, key=lambda way: way.seconds(budget)) if obey and lawful else None
    best = in_time[0]
    if best.seconds(budget) <= budget.worth_waiting_s:
        return best
    quicker = (way for way in in_time if way.candidate.everyday and way.seconds(budget) < best.seconds(budget))
    return next(quicker, best)


def _as_plan(choice: Choice, budget: Budget) -> Plan:
    way = choice.chosen
    return Plan(
        model=way.candidate.name,
        scale=way.candidate.scale,
        lq_wh=way.lq_wh,
        outscale=way.outscale,
        size_out_wh=way.size_out_wh,
        estimate_s=way.seconds(budget),
        reasons=reasons_of(choice, budget),
        notices=choice.notices,
    )


def _refusal(
    size_wh: tuple[int, int],
    possible: Sequence[Way],
    broken: Sequence[tuple[str, int, int]],
    budget: Budget,
    *,
    wished: float | None,
    planes: int,
) -> ImageTooLarge | ResultTooLarge:
    width, height = size_wh
    if not possible:
        what, needed, most = broken[-1]
        needs = EXCEEDED[what].format(counted(needed))
        # What its network has to make is no smaller because less is wished.
        less = None if wished is None or what == "network" else largest_outscale(size_wh, budget, planes)
        keeps = "" if less is None else f"; ×{less:g} would keep to it"
        return ResultTooLarge(f"the result of {width}x{height} would {needs}, the limit is {counted(most)}{keeps}")
    needed_s, allowed_s = min(way.seconds(budget) for way in possible), budget.allowed_s
    return NothingFits(
        f"a picture of {width}x{height} would take about {seconds(needed_s)} s here, at most {seconds(allowed_s)} s are"
        " allowed",
        needed_s,
        allowed_s,
    )
