"""Whole ways from a good picture to what people send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from training.degradations.base import Chain, Degradation, OneOf, Pair, Picture, Range, Sometimes, as_floats, as_levels
from training.degradations.blur import GaussianBlur, RandomBlur, RandomSinc, Sharpening
from training.degradations.compression import Jpeg, WebP
from training.degradations.noise import GaussianNoise, PoissonNoise
from training.degradations.prints import Dust, Fading
from training.degradations.resizing import BICUBIC, Antialiased, AnyFilter, RandomResize

SCALE = 4


class Quarter(Protocol):
    """How a picture of any size becomes a quarter of the first one."""

    def __call__(self, picture: Picture, width: int, height: int, rng: np.random.Generator, /) -> Picture:
        """Resize to (height, width)."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """What happens before and after the picture gets its final size."""

    large: Degradation = Chain(())
    small: Degradation = Chain(())


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """From a good picture to the small bad one that somebody sends.

    Args:
        name: what it is called in settings and tables.
        ways: one of them, each as likely.
        quarter: how the final size is reached.
        before: what has happened to the thing in front of the lens, a faded print for one; not ours to undo, so the
            ground truth shows it as well.
    """

    name: str
    ways: tuple[Way, ...] = (Way(),)
    quarter: Quarter = Antialiased()
    before: Degradation = Chain(())

    def pair(self, hq: Picture, rng: np.random.Generator) -> Pair:
        """The ground truth and its degraded quarter, rounded to 256 levels as any file is.

        Args:
            hq: (H, W, 3) float32, RGB, 0 to 1; sides divisible by 4.
            rng: where all chance comes from.

        Raises:
            ValueError: a side does not divide by 4.
        """
        height, width = hq.shape[:2]
        if height % SCALE or width % SCALE:
            raise ValueError(f"sides must divide by {SCALE}, these are {width}x{height}")
        gt = self.before(hq, rng)
        way = self.ways[rng.integers(len(self.ways))]
        lq = self.quarter(way.large(gt, rng), width // SCALE, height // SCALE, rng)
        return Pair(gt=_rounded(gt), lq=_rounded(way.small(lq, rng)))

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Only the degraded quarter; see :meth:`pair`."""
        return self.pair(picture, rng).lq


def _rounded(picture: Picture) -> Picture:
    return as_floats(as_levels(picture))


def _noise(gaussian: Range, poisson: Range) -> Degradation:
    return OneOf(((0.5, GaussianNoise(gaussian)), (0.5, PoissonNoise(poisson))))


CLEAN = Pipeline(name="clean", quarter=BICUBIC)

BLUR_NOISE_JPEG = Pipeline(
    name="blur-noise-jpeg",
    ways=(
        Way(
            large=GaussianBlur(1.5),
            small=Chain((GaussianNoise(Range(5, 5), gray=0), Jpeg(Range(60, 60)))),
        ),
    ),
    quarter=BICUBIC,
)

# A little of everything that one generation of phones and mail does; milder than the paper's.
LIGHT = Pipeline(
    name="light",
    ways=(
        Way(
            large=Sometimes(0.7, RandomBlur(Range(0.2, 2.5), sinc=0)),
            # A third was never a JPEG: what is left of noise after 4:2:0 would otherwise be all that is ever seen.
            small=Chain((_noise(Range(0, 18), Range(0, 1.2)), Sometimes(0.67, Jpeg(Range(40, 95), full_colour=0.4)))),
        ),
    ),
)

_ONCE = Chain(
    (
        RandomBlur(Range(0.2, 3.0)),
        RandomResize(larger=(0.2, Range(1.0, 1.5)), smaller=(0.7, Range(0.15, 1.0))),
        _noise(Range(1, 30), Range(0.05, 3.0)),
        Jpeg(Range(30, 95)),
    )
)
_TWICE = Chain(
    (
        Sometimes(0.8, RandomBlur(Range(0.2, 1.5))),
        RandomResize(larger=(0.3, Range(1.0, 1.2)), smaller=(0.4, Range(0.3, 1.0))),
        _noise(Range(1, 25), Range(0.05, 2.5)),
    )
)
_SINC = Sometimes(0.8, RandomSinc())
_SECOND_JPEG = Jpeg(Range(30, 95))

# Ranges and order of the paper (appendix A and the released settings): the last JPEG comes before or after the last
# resize and its sinc, each in half of the pictures.
REAL_ESRGAN = Pipeline(
    name="real-esrgan",
    ways=(
        Way(large=Chain((_ONCE, _TWICE)), small=Chain((_SINC, _SECOND_JPEG))),
        Way(large=Chain((_ONCE, _TWICE, _SECOND_JPEG)), small=_SINC),
    ),
    quarter=AnyFilter(),
)

# Telegram makes a photo 1280 px wide at most and saves it as JPEG of about 80 with colours at half size.
_TELEGRAM = Jpeg(Range(75, 87), shifted=True)
_CHAT_PHOTO = Pipeline(
    name="chat photo",
    ways=(
        Way(
            large=Sometimes(0.5, RandomBlur(Range(0.3, 2.0), sinc=0)),
            small=Chain(
                (Sometimes(0.4, _noise(Range(1, 8), Range(0.05, 0.8))), Sometimes(0.3, Sharpening()), _TELEGRAM)
            ),
        ),
    ),
)
_SCREENSHOT = Pipeline(
    name="screenshot",
    ways=(
        Way(
            large=Chain(
                (
                    RandomResize(larger=(0.0, Range(1, 1)), smaller=(1.0, Range(0.25, 0.8))),
                    Jpeg(Range(60, 92)),
                    RandomResize(larger=(1.0, Range(1.0, 1.6)), smaller=(0.0, Range(1, 1))),
                )
            ),
            small=Sometimes(0.5, _TELEGRAM),
        ),
    ),
)
_MEME = Pipeline(
    name="saved again and again",
    ways=(
        Way(
            large=Jpeg(Range(50, 90), shifted=True),
            small=Chain(
                (Jpeg(Range(40, 85), shifted=True), Sometimes(0.7, Jpeg(Range(50, 85), shifted=True)), _TELEGRAM)
            ),
        ),
    ),
)
_SCAN = Pipeline(
    name="scanned print",
    before=Fading(),
    ways=(
        Way(
            large=Chain((RandomBlur(Range(0.6, 3.0), sinc=0), Sometimes(0.6, Dust()))),
            small=Chain((_noise(Range(2, 14), Range(0.2, 1.5)), Jpeg(Range(60, 92)))),
        ),
    ),
)
_STICKER = Pipeline(name="sticker", ways=(Way(small=WebP(Range(40, 90))),))


@dataclass(frozen=True)
class Mixture:
    """One of several pipelines for each picture.

    Args:
        name: as of a pipeline.
        parts: pipelines, each with its weight.
    """

    name: str
    parts: tuple[tuple[float, Pipeline | Mixture], ...]

    def pair(self, hq: Picture, rng: np.random.Generator) -> Pair:
        """As :meth:`Pipeline.pair`, of the one that is drawn."""
        weights = np.array([weight for weight, _ in self.parts])
        return self.parts[rng.choice(len(weights), p=weights / weights.sum())][1].pair(hq, rng)

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Only the degraded quarter; see :meth:`pair`."""
        return self.pair(picture, rng).lq


AS_SENT = Mixture("as-sent", ((0.4, _CHAT_PHOTO), (0.15, _SCREENSHOT), (0.15, _MEME), (0.2, _SCAN), (0.1, _STICKER)))

PIPELINES: Mapping[str, Pipeline | Mixture] = {
    each.name: each
    for each in (
        CLEAN, BLUR_NOISE_JPEG, LIGHT, REAL_ESRGAN, AS_SENT, _CHAT_PHOTO, _SCREENSHOT, _MEME, _SCAN, _STICKER,
    )
}  # fmt: skip


def named(name: str) -> Pipeline | Mixture:
    """A pipeline by its name.

    Raises:
        ValueError: there is none; names those that are.
    """
    if name not in PIPELINES:
        raise ValueError(f"no degradation is called {name!r}; there are {', '.join(PIPELINES)}")
    return PIPELINES[name]
