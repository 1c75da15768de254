"""What of a picture goes through the network, and how the picture is put together again.

A picture without transparency is one plane of colours. One with transparency is two, premultiplied colours and
opacity, both uint16. An alpha that is opaque everywhere costs nothing: it is remembered, not computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from models.alpha import keep_in_neighbourhood, premultiply, to_depth, to_uint16, unpremultiply
from models.picture import Picture
from models.pixels import Pixels, UInt16
from models.resize import shrink


@dataclass(frozen=True, slots=True)
class Planes:
    """Arrays of equal sides.

    Args:
        colours: (H, W) or (H, W, 3); premultiplied uint16 where there is opacity.
        opacity: (H, W) uint16, or None where all is opaque.
    """

    colours: Pixels
    opacity: UInt16 | None = None

    @classmethod
    def of(cls, picture: Picture) -> Planes:
        """Take a picture apart."""
        if picture.alpha is None or is_opaque(picture.alpha):
            return cls(picture.pixels)
        return cls(premultiply(picture.pixels, picture.alpha), to_uint16(picture.alpha))

    @property
    def count(self) -> int:
        """How often the network has to run."""
        return 1 if self.opacity is None else 2

    @property
    def bytes_per_pixel(self) -> int:
        """Of both, whatever their size."""
        planes = (self.colours,) if self.opacity is None else (self.colours, self.opacity)
        return sum(plane.itemsize * (plane.shape[2] if plane.ndim == 3 else 1) for plane in planes)

    def reduced(self, size_wh: tuple[int, int]) -> Planes:
        """Made smaller by averaging the covered area; premultiplied still, so that nothing hidden is mixed in."""
        if size_wh == (self.colours.shape[1], self.colours.shape[0]):
            return self
        opacity = None if self.opacity is None else np.asarray(shrink(self.opacity, size_wh), np.uint16)
        return Planes(shrink(self.colours, size_wh), opacity)

    def enlarged(self, enlarge: Callable[[Pixels], Pixels]) -> Planes:
        """Each plane through ``enlarge``, opacity held to what the input has around each pixel."""
        colours = enlarge(self.colours)
        if self.opacity is None:
            return Planes(colours)
        opacity = np.asarray(enlarge(self.opacity), np.uint16)
        keep_in_neighbourhood(opacity, self.opacity)
        return Planes(colours, opacity)

    def mixed_with(self, original: Planes, share: float) -> Planes:
        """``share`` of these planes and the rest of ``original``, whose opacity stays; of equal size, these change."""
        if share < 1:
            cv2.addWeighted(self.colours, share, original.colours, 1 - share, 0.0, dst=self.colours)
        return Planes(self.colours, original.opacity)

    def as_picture(self, original: Picture) -> Picture:
        """Put together in the depth of ``original``, with its description."""
        depth = original.pixels.dtype
        if self.opacity is not None:
            colours = unpremultiply(np.asarray(self.colours, np.uint16), self.opacity, depth)
            return replace(original, pixels=colours, alpha=to_depth(self.opacity, depth))
        if original.alpha is None:
            return replace(original, pixels=self.colours)
        opaque = np.full(self.colours.shape[:2], np.iinfo(depth).max, depth)
        return replace(original, pixels=self.colours, alpha=opaque)


def is_opaque(alpha: Pixels) -> bool:
    """Whether nothing shows through anywhere."""
    return bool(alpha.min() == np.iinfo(alpha.dtype).max)
