"""What comes out of a restoration: a file, and how it came to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.faces.report import FaceReport


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """A restored picture as a file, and how it came to be.

    Args:
        data: the file.
        extension: without a dot: ``png``, ``jpg``, ``webp``.
        mime: such as ``image/png``.
        size_in_wh: width and height of the upright original.
        size_out_wh: width and height of the result.
        model: name of the network.
        device: ``cpu`` or ``cuda:0``.
        dtype: number format that was used for this picture.
        seconds: per stage: decode, plan, upscale, colours, faces, encode, total.
        estimate_s: what the whole, faces included, was expected to take when the picture had been looked at.
        faces: what became of every face that was found, in reading order.
        choice: why this model and this scale, in English.
        recipe: everything needed to make the same bytes again, see :mod:`models.recipe`, with ``made`` and ``seconds``.
        notices: stable codes of what the owner should be told: ``recipe_of_another``, then those of the decoder, the
            plan, the search for faces, the faces and the encoder; two of them may say the same.
    """

    data: bytes = field(repr=False)
    extension: str
    mime: str
    size_in_wh: tuple[int, int]
    size_out_wh: tuple[int, int]
    model: str
    device: str
    dtype: str
    seconds: dict[str, float]
    estimate_s: float
    choice: str
    recipe: Mapping[str, object] = field(repr=False)
    faces: tuple[FaceReport, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def faces_restored(self) -> int:
        """How many faces look better now."""
        return sum(face.is_restored for face in self.faces)

    @property
    def faces_left(self) -> int:
        """How many faces were to be restored, and were left as they are for the likeness' sake."""
        return sum(face.is_left_for_likeness for face in self.faces)
