"""What there is to know of a picture before it is restored: photograph, drawing or text, how noisy, how sharp."""

from __future__ import annotations

from dataclasses import dataclass

from models.planning.offers import Kind

EMPTY_BELOW = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """A picture's traits.

    Args:
        kind: what it shows: a photograph (or painting), a drawing, or text.
        kind_confidence: in [0, 1].
        noise: standard deviation in levels of 255.
        sharpness: real detail at the finest octave, in [0, 1].
        half_sharpness: the same of the picture at half its size.
        text_share: of the area, covered by lines of text, in [0, 1].
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
