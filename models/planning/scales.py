"""How much a picture grows, if nobody says otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.planning.offers import Candidate, Kind

LADDER = (4.0, 2.0, 1.0)
USUAL_OUTSCALE = LADDER[0]
SMALL_SIDE = 1_280  # px; what Telegram sends as a photo grows fourfold
MEDIUM_SIDE = 2_048  # px; 2K doubles
SENSIBLE_PIXELS = 34_000_000  # of a result that nobody asked for: 3840x2160 doubled has 33.2 million

# Rendered pages enlarged fourfold from letters of a few pixels got other letters from RealESRGAN_x4plus, and came out
# 1.1 dB further from the truth than with Lanczos; enlarged twofold they came out 2.3 dB nearer (benchmarks/choices.py).
TEXT_OUTSCALE = 2.0


def usual_outscale(size_wh: tuple[int, int], kind: Kind) -> float:
    """4, 2 or 1 by the picture's size; text at most doubles. Never rises with either side."""
    long_side = max(size_wh)
    if long_side <= SMALL_SIDE:
        return TEXT_OUTSCALE if kind == "text" else USUAL_OUTSCALE
    if long_side <= MEDIUM_SIDE or math.prod(size_wh) * 4 <= SENSIBLE_PIXELS:
        return 2.0
    return 1.0


def ladder(size_wh: tuple[int, int], kind: Kind, pool: Sequence[Candidate]) -> tuple[float, ...]:
    """The outscales to try, the largest first: none above what suits the size or what a network of the pool does."""
    most = min(usual_outscale(size_wh, kind), max(candidate.scale for candidate in pool))
    return tuple(outscale for outscale in LADDER if outscale <= most)
