"""Expected seconds by size, for those who tell people how long it will take without loading this library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from models.errors import ImageTooLarge, ResultTooLarge
from models.planning.offers import KINDS, Budget, Candidate
from models.planning.plan import plan
from models.planning.traits import SHARP_PHOTO, Traits

MEGAPIXELS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 40)
ASPECT = 4 / 3


def estimates(
    candidates: Sequence[Candidate],
    budget: Budget,
    *,
    traits: Traits = SHARP_PHOTO,
    planes: int = 1,
    megapixels: Sequence[float] = MEGAPIXELS,
) -> tuple[tuple[int, float], ...]:
    """Pixels of the original and expected seconds, by rising size, of 4:3 pictures without wishes.

    Sizes that would be refused are left out. Between two sizes, interpolate between the logarithms. The seconds of
    one model rise with the pixels, those of the table fall where a larger picture has to make do with a quicker one.
    There are no faces in them: how many a picture has is known only when it has been looked at.

    Args:
        candidates: what this machine can run.
        budget: limits and time.
        traits: of the pictures; a sharp photograph is what takes longest.
        planes: 2 for pictures with transparency.
        megapixels: the sizes, in millions of pixels.

    Raises:
        OptionsError: there are no candidates.
    """
    table = []
    for pixels in (round(million * 1e6) for million in megapixels):
        width = round(math.sqrt(pixels * ASPECT))
        try:
            planned = plan((width, round(pixels / width)), traits, candidates, budget, planes=planes)
        except (ImageTooLarge, ResultTooLarge):
            continue
        table.append((pixels, planned.estimate_s))
    return tuple(table)


def longest_estimates(candidates: Sequence[Candidate], budget: Budget) -> tuple[tuple[int, float], ...]:
    """The same for whichever kind of picture takes longest at each size: drawings and text have other models.

    Kinds that would be refused at a size count there no more.
    """
    longest: dict[int, float] = {}
    for kind in KINDS:
        for pixels, seconds in estimates(candidates, budget, traits=replace(SHARP_PHOTO, kind=kind)):
            longest[pixels] = max(seconds, longest.get(pixels, 0.0))
    return tuple(sorted(longest.items()))
