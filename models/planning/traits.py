"""What there is to know of a picture before it is restored: photograph, drawing or text, how noisy, how sharp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.picture import Picture
from models.planning.detail import lost_by_halving, noise_level
from models.planning.kinds import kind_of
from models.planning.marks import marks
from models.planning.offers import Kind
from models.planning.views import PAGE_SIDE, THUMB_SIDE, View, chroma, patches, sampled, shrunk, visible_part

LEAST_SIDE = 64  # px; whatever is smaller is taken for a photograph
GRAY_WITHIN = 3  # levels between channels; JPEG's rounding leaves one or two

# What halving loses (see models.planning.detail) of pictures enlarged twofold before, and of sharp ones.
LOST_NOTHING, LOST_MUCH = 0.03, 0.12
EMPTY_BELOW = 0.4  # of sharpness: 0.066 lost. Enlarged by 1.5 or with noise of 10 levels, most are above already


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """A picture's traits.

    Args:
        kind: what it shows: a photograph (or painting), a drawing, or text.
        kind_confidence: in [0, 1].
        noise: standard deviation in levels of 255.
        sharpness: real detail at the finest octave, in [0, 1].
        half_sharpness: the same of the picture at half its size.
        text_share: of the area, covered by what looks like lines of text, in [0, 1].
        is_gray: no colours, whatever the number of channels.
    """

    kind: Kind = "photo"
    kind_confidence: float = 0.0
    noise: float = 0.0
    sharpness: float = 1.0
    half_sharpness: float = 1.0
    text_share: float = 0.0
    is_gray: bool = False

    @property
    def empty_octaves(self) -> int:
        """How often the sides can be halved before anything that can be seen is lost: 0, 1 or 2."""
        if self.sharpness >= EMPTY_BELOW:
            return 0
        return 1 if self.half_sharpness >= EMPTY_BELOW else 2


SHARP_PHOTO = Traits()
"""What is assumed of a picture that nobody has seen."""


def look_at(picture: Picture) -> Traits:
    """Look at a few small views of a picture, the same for the same picture, for about as long whatever its size.

    Args:
        picture: of any size, depth and number of channels; transparent pixels are not looked at.
    """
    part = visible_part(picture)
    if part is None:
        return Traits(is_gray=True)
    whole = sampled(part)
    thumb = shrunk(whole, THUMB_SIDE)
    views = patches(part, thumb)
    noise = noise_level(views)
    sharpness, half_sharpness = (_sharpness(lost) for lost in lost_by_halving(views, noise))
    kind, confidence, text = _kind(part, thumb, whole)
    return Traits(
        kind=kind,
        kind_confidence=confidence,
        noise=noise,
        sharpness=sharpness,
        half_sharpness=half_sharpness,
        text_share=text,
        is_gray=picture.is_gray or _is_gray(thumb),
    )


def _kind(part: Picture, thumb: View, whole: View) -> tuple[Kind, float, float]:
    if min(part.size_wh) < LEAST_SIDE:
        return "photo", 0.0, 0.0
    found = marks(thumb, shrunk(whole, PAGE_SIDE))
    kind, confidence = kind_of(found)
    return kind, confidence, found["text"]


def _sharpness(lost: float) -> float:
    return float(np.clip((lost - LOST_NOTHING) / (LOST_MUCH - LOST_NOTHING), 0, 1))


def _is_gray(thumb: View) -> bool:
    brightest, darkest = chroma(thumb.rgb[thumb.visible])
    return bool((brightest - darkest <= GRAY_WITHIN).all())
