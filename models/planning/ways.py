"""The ways to a result of one size: which model, on the whole picture or on a reduced copy, in order of quality."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.planning.offers import Budget, Candidate
from models.planning.traits import Traits
from models.resize import result_size

OCTAVES = (2, 4)

# Bytes per pixel of results as JPEG of quality 95 without chroma subsampling: four Kodak pictures gave 0.16 to 0.41 at
# ×4 and 0.27 to 0.79 at ×1; as PNG 0.9 to 2.1.
BYTES_PER_PIXEL = 0.8
BYTES_PER_PIXEL_WITH_ALPHA = 2.1  # lossless


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """One way to a result.

    Args:
        candidate: the model.
        size_wh: of the original.
        outscale: result side over the original's side.
        planes: how often the network runs; 2 for a picture with transparency.
        factor: what the picture's sides are divided by before the network sees it.
    """

    candidate: Candidate
    size_wh: tuple[int, int]
    outscale: float
    planes: int = 1
    factor: int = 1

    @property
    def lq_wh(self) -> tuple[int, int]:
        """What the network sees."""
        width, height = self.size_wh
        return math.ceil(width / self.factor), math.ceil(height / self.factor)

    @property
    def size_out_wh(self) -> tuple[int, int]:
        """What the owner gets."""
        return result_size(self.size_wh, self.outscale)

    @property
    def network_pixels(self) -> int:
        """What the network gives, per plane."""
        return math.prod(self.lq_wh) * self.candidate.scale**2

    @property
    def is_grown(self) -> bool:
        """Whether the network's picture is enlarged once more, which shows nothing that was not there."""
        return self.outscale * self.factor > self.candidate.scale

    def seconds(self, budget: Budget) -> float:
        """Everything from the file to the file; never falls when the picture grows."""
        overhead, candidate = budget.overhead, self.candidate
        per_output_pixel_s = overhead.per_output_pixel_s + (overhead.per_grown_pixel_s if self.is_grown else 0.0)
        return (
            candidate.startup_s
            + candidate.seconds_per_pixel * self.planes * math.prod(self.lq_wh)
            + overhead.fixed_s
            + overhead.per_input_pixel_s * math.prod(self.size_wh)
            + overhead.per_network_pixel_s * self.planes * self.network_pixels
            + per_output_pixel_s * self.planes * math.prod(self.size_out_wh)
        )

    def exceeded(self, budget: Budget) -> tuple[str, int, int] | None:
        """The first hard limit this way breaks, what it needs and what there is; None: it keeps to all."""
        pixels = math.prod(self.size_out_wh)
        needs = (
            ("pixels", pixels, budget.max_output_pixels),
            ("side", max(self.size_out_wh), budget.max_output_side),
            ("bytes", math.ceil(pixels * _bytes_per_pixel(self.planes)), budget.max_output_bytes),
            ("network", self.network_pixels, budget.max_network_pixels),
        )
        return next(((name, need, most) for name, need, most in needs if most is not None and need > most), None)


def largest_outscale(size_wh: tuple[int, int], budget: Budget, planes: int) -> float:
    """The largest that keeps to all limits of a result, rounded down: to tenths from ten on, to hundredths below."""
    most_pixels = float(budget.max_output_pixels)
    if budget.max_output_bytes is not None:
        most_pixels = min(most_pixels, budget.max_output_bytes / _bytes_per_pixel(planes))
    outscale = min(math.sqrt(most_pixels / math.prod(size_wh)), budget.max_output_side / max(size_wh))
    steps = 10 if outscale >= 10 else 100
    return math.floor(outscale * steps) / steps


def _bytes_per_pixel(planes: int) -> float:
    return BYTES_PER_PIXEL if planes == 1 else BYTES_PER_PIXEL_WITH_ALPHA


def ways_to(
    outscale: float, size_wh: tuple[int, int], pool: Sequence[Candidate], traits: Traits, planes: int
) -> Iterator[Way]:
    """Every way to this outscale, the best first.

    The best model on the whole picture; models whose network makes just such a scale; the same on a reduced copy
    that has lost nothing; quicker models. A copy that has lost detail is no way: sharp pictures halved first and then
    doubled by RealESRGAN_x4plus are 3.8 dB further from the truth than the whole ones doubled by Lanczos. Soft ones
    lose 0.2 dB (benchmarks/choices.py).

    Args:
        outscale: result side over the original's side.
        size_wh: of the original.
        pool: models of one purpose, at least one.
        traits: how much detail there is to lose.
        planes: how often the network has to run.
    """
    largest = max(candidate.scale for candidate in pool)
    able = sorted((c for c in pool if c.scale >= min(outscale, largest)), key=lambda c: (c.rank, c.name))
    fitting = [candidate for candidate in able[1:] if candidate.scale < able[0].scale]
    first = [able[0], *fitting]
    spare = [factor for factor in OCTAVES if factor <= spare_factor(traits, outscale)]
    for models in (first, [candidate for candidate in able if candidate not in first]):
        for factor in (1, *spare):
            for candidate in models:
                if factor == 1 or factor * outscale <= candidate.scale:
                    yield Way(candidate=candidate, size_wh=size_wh, outscale=outscale, planes=planes, factor=factor)


def spare_factor(traits: Traits, outscale: float) -> float:
    """How far the sides can shrink before the result misses anything: octaves that are empty, or not shown."""
    return (1 << traits.empty_octaves) / min(outscale, 1.0)
