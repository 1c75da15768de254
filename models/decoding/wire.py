"""What the two processes say to each other, as lines of JSON: never as pickles, for one of them may be taken over.

The pixels do not come this way: they lie in memory that both have mapped, colours first, alpha behind.
"""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import asdict
from typing import Any

import numpy as np

from models import errors
from models.decoding.canvas import Bytes
from models.decoding.limits import DecodeLimits
from models.errors import DamagedImage, ImageError
from models.picture import Picture

KINDS: dict[str, type[ImageError]] = {
    kind.code: kind
    for kind in (
        errors.UnsupportedFormat,
        errors.CameraRaw,
        errors.ImageTooLarge,
        errors.ImageTooComplex,
        errors.DamagedImage,
    )
}
MAX_TEXT = 400  # characters of a message that are passed on


def pack_limits(limits: DecodeLimits) -> bytes:
    """For :func:`unpack_limits`, preceded by its length."""
    text = json.dumps(asdict(limits)).encode()
    return struct.pack("<I", len(text)) + text


def unpack_limits(text: bytes) -> DecodeLimits:
    """The limits, without the length before them."""
    return DecodeLimits(**json.loads(text))


def pack_error(exc: ImageError) -> bytes:
    """One line."""
    return _line({"error": exc.code, "message": str(exc)})


def pack_picture(picture: Picture) -> bytes:
    """One line: everything but pixels."""
    height, width = picture.pixels.shape[:2]
    return _line(
        {
            "height": height,
            "width": width,
            "gray": picture.is_gray,
            "wide": picture.is_16_bit,
            "alpha": picture.alpha is not None,
            "format": picture.format,
            "lossless": picture.lossless,
            "profile": picture.profile and base64.b64encode(picture.profile).decode(),
            "tagged": picture.tagged,
            "dpi": picture.dpi,
            "taken": picture.taken,
            "notices": picture.notices,
        }
    )


def pack_unfiltered(exc: OSError) -> bytes:
    """One line: why the child that decodes has kept rights it does not need. Sent before it looks at its file."""
    return _line({"unfiltered": exc.strerror})


def pack_end(status: int, peak_bytes: int) -> bytes:
    """One line: how the process ended (negative: the signal) and the most memory it had."""
    return _line({"status": status, "peak_bytes": peak_bytes})


def result_bytes(said: dict[str, Any]) -> int:
    """Length of the pixels that a line of :func:`pack_picture` is about."""
    return _area(said) * ((1 if said["gray"] else 3) + bool(said["alpha"])) * (2 if said["wide"] else 1)


def unpack_picture(said: dict[str, Any], memory: Bytes, limits: DecodeLimits) -> Picture:
    """The picture, its pixels where they are.

    Args:
        said: the line of :func:`pack_picture`.
        memory: at least :func:`result_bytes` long.
        limits: that it was made under, checked once more.
    """
    limits.check_size((said["width"], said["height"]))
    dtype = np.dtype(np.uint16 if said["wide"] else np.uint8)
    shape = (said["height"], said["width"])
    colours = _area(said) * (1 if said["gray"] else 3) * dtype.itemsize
    pixels = memory[:colours].view(dtype).reshape(shape if said["gray"] else (*shape, 3))
    alpha = memory[colours : result_bytes(said)].view(dtype).reshape(shape) if said["alpha"] else None
    return Picture(
        pixels=pixels,
        alpha=alpha,
        format=str(said["format"]),
        lossless=bool(said["lossless"]),
        profile=base64.b64decode(said["profile"]) if said["profile"] else None,
        tagged=bool(said["tagged"]),
        dpi=(float(said["dpi"][0]), float(said["dpi"][1])) if said["dpi"] else None,
        taken=said["taken"] and str(said["taken"]),
        notices=tuple(map(str, said["notices"])),
    )


def unpack_error(said: dict[str, Any]) -> ImageError:
    """The error of a line of :func:`pack_error`."""
    return KINDS.get(str(said["error"]), DamagedImage)(_text(said["message"]))


def unpack_unfiltered(said: dict[str, Any]) -> str:
    """The reason in a line of :func:`pack_unfiltered`."""
    return _text(said["unfiltered"])


def _text(said: object) -> str:
    return " ".join(str(said).split())[:MAX_TEXT]


def _area(said: dict[str, Any]) -> int:
    return int(said["height"]) * int(said["width"])


def _line(content: dict[str, object]) -> bytes:
    return json.dumps(content).encode() + b"\n"
