"""A plan in English, for logs and the command line; other languages make their own sentences of the codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from models.planning.amounts import counted, seconds
from models.planning.plan import Plan
from models.planning.reasons import Reason

KIND_WORDS = {"photo": "photographs", "drawing": "drawings", "text": "pictures of text"}

SENTENCES: Mapping[str, str] = {
    "model_wished": "Uses {model} because it was asked for",
    "no_model_for_kind": "There is no model for {kind} here, so one for {purpose} stands in",
    "model_best": "Chose {model}, the best for {kind} of those that are here",
    "model_of_that_scale": "Chose {model} because its network makes just this scale and {best} would take {best_s} s",
    "model_everyday": "Chose {model}, the everyday model, because {best} would take {best_s} s, longer than the "
    "{patience_s} s that are worth waiting for it",
    "model_quicker": "Chose {model} because {best} would take {best_s} s",
    "scale_wished": "×{outscale} because it was asked for",
    "scale_beyond_network": "×{outscale} because it was asked for; the network makes ×{scale}, and the rest is plain "
    "enlarging that shows nothing more",
    "scale_by_size": "×{outscale} because that suits a picture of {width}x{height}",
    "scale_of_text": "×{outscale} because text enlarged further gets letters that were never there",
    "scale_limited_by_time": "×{outscale} because ×{wanted} of {width}x{height} would take too long",
    "scale_limited_by_pixels": "×{outscale} because ×{wanted} would have {needed} pixels and the limit is {most}",
    "scale_limited_by_side": "×{outscale} because ×{wanted} would have a side of {needed} px and the limit is {most}",
    "scale_limited_by_bytes": "×{outscale} because ×{wanted} would have about {needed} bytes and the limit is {most}",
    "scale_limited_by_network": "×{outscale} because ×{wanted} would take {needed} pixels on the way, above {most}",
    "reduced_soft": "Reduced by {factor} first, which loses nothing of a picture this soft and saves the {best_s} s "
    "that all of it would take",
    "time": "About {seconds} s are expected",
    "time_of_faces": "{faces_s} s of that is for faces, of which {count} will be restored",
    "over_time": "About {seconds} s are expected, more than the {allowed_s} s allowed, because of what was asked for",
}


def explain(plan: Plan) -> str:
    """What was chosen and why, in a few sentences."""
    return " ".join(f"{sentence(reason)}." for reason in plan.reasons)


def sentence(reason: Reason) -> str:
    """One reason in English, without a full stop."""
    shown = {name: SHOWN_AS.get(name, str)(value) for name, value in reason.params.items()}
    return SENTENCES[reason.code].format(**shown)


def _seconds(value: str | int | float) -> str:
    return seconds(float(value))


def _number(value: str | int | float) -> str:
    return f"{float(value):g}"


def _count(value: str | int | float) -> str:
    return counted(int(value))


def _kind(value: str | int | float) -> str:
    return KIND_WORDS[str(value)]


SHOWN_AS: Mapping[str, Callable[[str | int | float], str]] = {
    "seconds": _seconds, "best_s": _seconds, "allowed_s": _seconds, "patience_s": _seconds,
    "faces_s": _seconds,
    "outscale": _number, "scale": _number, "wanted": _number, "factor": _number,
    "needed": _count, "most": _count,
    "kind": _kind, "purpose": _kind,
}  # fmt: skip
