"""Nothing lost on the way in: files from anybody become upright pictures in sRGB, within limits that hold.

with Decoder() as decoder:
    picture = decoder.decode(data, DecodeLimits(max_pixels=40_000_000))

The libraries that parse files are loaded by the process that does so; ``decode_here`` loads them into this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.decoding.decoder import Decoder, Measured
from models.decoding.limits import DecodeLimits

if TYPE_CHECKING:
    from models.decoding.reading import decode_here

__all__ = ["DecodeLimits", "Decoder", "Measured", "decode_here"]


def __getattr__(name: str) -> object:
    if name != "decode_here":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from models.decoding.reading import decode_here

    return decode_here
