"""A restored picture to the bytes of a file, within a size if one is given.

Of what the original file said about itself only resolution, colour space and capture date go on: no place, no
camera, no comment.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from PIL import Image, ImageCms

from models.alpha import to_depth
from models.errors import ResultTooLarge
from models.options import OutputFormat
from models.picture import DATE_TAKEN, EXIF_BLOCK, FOREIGN_ERRORS, Picture
from models.pixels import Pixels

FileFormat = Literal["png", "jpeg", "webp"]

MIMES: dict[FileFormat, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
EXTENSIONS: dict[FileFormat, str] = {"png": "png", "jpeg": "jpg", "webp": "webp"}
MAX_SIDES: dict[FileFormat, int] = {"png": 1_000_000, "jpeg": 65_500, "webp": 16_383}  # libpng, libjpeg, libwebp

PNG_LEVEL = 4  # measured on 6 MP: a fifth slower than level 1, 7 % smaller; level 6 takes 4 times as long for 6 % more
QUALITY = 95
LOWER_QUALITIES = (90, 85, 80, 70)  # below that a restored picture is no gift
WEBP_EFFORT = 2  # measured on 6 MP: half the time of the default 4 at the same size
INCH_IN_METRES = 0.0254


@dataclass(frozen=True, slots=True)
class Encoded:
    """A finished file."""

    data: bytes
    format: FileFormat
    notices: tuple[str, ...] = ()

    @property
    def mime(self) -> str:
        """MIME type, such as ``image/png``."""
        return MIMES[self.format]

    @property
    def extension(self) -> str:
        """Without a dot: ``png``, ``jpg`` or ``webp``."""
        return EXTENSIONS[self.format]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way of writing a picture, and what its owner should know about it."""

    format: FileFormat
    quality: int = QUALITY  # means nothing to PNG
    notices: tuple[str, ...] = ()


def natural_format(picture: Picture) -> FileFormat:
    """The format ``auto`` means: nothing that the original kept is lost."""
    keeps_all = picture.alpha is not None or picture.is_16_bit or picture.lossless
    return "png" if keeps_all else "jpeg"


def attempts(picture: Picture, size_wh: tuple[int, int], wanted: OutputFormat, *, limited: bool) -> Iterator[Attempt]:
    """Ways of writing ``picture`` at ``size_wh``, best first; empty where the size fits no allowed format.

    Args:
        picture: the original, or the result: only its kind matters.
        size_wh: of the result.
        wanted: what was asked for. Only ``auto`` may change the format, and says so with ``format_changed``.
        limited: whether lower qualities may be needed.
    """
    first = natural_format(picture) if wanted == "auto" else wanted
    lossy: FileFormat = "webp" if picture.alpha is not None else "jpeg"
    ladder: list[FileFormat] = [first]
    if wanted == "auto":
        ladder += [other for other in (lossy, "png") if other not in ladder and (limited or other == "png")]
    for format_ in ladder:
        if max(size_wh) > MAX_SIDES[format_]:
            continue
        changed = ("format_changed",) if format_ != first else ()
        qualities = (QUALITY, *(LOWER_QUALITIES if limited else ())) if format_ != "png" else (QUALITY,)
        for quality in qualities:
            lowered = ("quality_reduced",) if quality < QUALITY else ()
            yield Attempt(format_, quality, (*changed, *lowered))


def encode(picture: Picture, wanted: OutputFormat = "auto", *, max_bytes: int | None = None) -> Encoded:
    """Write a picture.

    Args:
        picture: what to write; its ``lossless`` is about the file it came from.
        wanted: format, or ``auto``.
        max_bytes: largest file that will do; None: any.

    Returns:
        The first of :func:`attempts` that fits. ``depth_reduced`` and ``alpha_flattened`` are among its notices
        where the format has no room for 16 bits or transparency.

    Raises:
        ResultTooLarge: nothing fits; the message has the smallest size reached.
    """
    smallest: int | None = None
    for attempt in attempts(picture, picture.size_wh, wanted, limited=max_bytes is not None):
        fitting, notices = fit_to(picture, attempt.format)
        data = _WRITERS[attempt.format](fitting, attempt.quality)
        if max_bytes is None or len(data) <= max_bytes:
            return Encoded(data, attempt.format, (*attempt.notices, *notices))
        smallest = min(len(data), smallest or len(data))
    width, height = picture.size_wh
    if smallest is None:
        raise ResultTooLarge(f"a picture of {width}x{height} has longer sides than {wanted} can hold")
    raise ResultTooLarge(
        f"the result of {width}x{height} takes {smallest:,} bytes at the least, the limit is {max_bytes:,}"
    )


def fit_to(picture: Picture, format_: FileFormat) -> tuple[Picture, tuple[str, ...]]:
    """The picture as ``format_`` can hold it, and the notices that takes."""
    notices: list[str] = []
    if format_ != "png" and picture.is_16_bit:
        alpha = None if picture.alpha is None else _to_8_bit(picture.alpha)
        picture = replace(picture, pixels=_to_8_bit(picture.pixels), alpha=alpha)
        notices.append("depth_reduced")
    if format_ == "jpeg" and picture.alpha is not None:
        picture = replace(picture, pixels=_on_white(picture.pixels, picture.alpha), alpha=None)
        notices.append("alpha_flattened")
    return picture, tuple(notices)


def _to_8_bit(values: Pixels) -> Pixels:
    return to_depth(values.astype(np.uint16, copy=False), np.dtype(np.uint8))


def _on_white(pixels: Pixels, alpha: Pixels) -> Pixels:
    opacity = (alpha if pixels.ndim == 2 else alpha[..., None]).astype(np.uint16)
    mixed = (pixels * opacity + 255 * (255 - opacity) + 127) // 255
    return mixed.astype(np.uint8)


def _write_png(picture: Picture, _quality: int) -> bytes:
    done, encoded = cv2.imencode(".png", _as_opencv(picture), [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])
    if not done:
        raise ResultTooLarge(f"a picture of {picture.size_wh} cannot be written as PNG")
    bare = encoded.tobytes()
    head = 8 + 25  # signature and IHDR; what describes the pixels has to follow at once
    return bare[:head] + b"".join(_png_chunks(picture)) + bare[head:]


def _as_opencv(picture: Picture) -> Pixels:
    """Channels in OpenCV's order; gray with alpha becomes four channels, which is all it can write."""
    if picture.alpha is None:
        return picture.pixels if picture.is_gray else picture.pixels[..., ::-1]
    out = np.empty((*picture.alpha.shape, 4), picture.pixels.dtype)
    out[..., :3] = picture.pixels[..., None] if picture.is_gray else picture.pixels[..., ::-1]
    out[..., 3] = picture.alpha
    return out


def _png_chunks(picture: Picture) -> Iterator[bytes]:
    if picture.profile:
        yield _chunk(b"iCCP", b"ICC\0\0" + zlib.compress(picture.profile))
    elif picture.tagged:
        yield _chunk(b"sRGB", b"\0")  # perceptual
    if picture.dpi:
        across, down = (round(value / INCH_IN_METRES) for value in picture.dpi)
        yield _chunk(b"pHYs", struct.pack(">IIB", across, down, 1))
    if picture.taken:
        yield _chunk(b"eXIf", _exif(picture.taken))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _write_jpeg(picture: Picture, quality: int) -> bytes:
    return _write_with_pillow(picture, "JPEG", quality=quality, subsampling="4:4:4")


def _write_webp(picture: Picture, quality: int) -> bytes:
    return _write_with_pillow(picture, "WEBP", quality=quality, method=WEBP_EFFORT, alpha_quality=100)


def _write_with_pillow(picture: Picture, format_: str, **how: str | int) -> bytes:
    extra: dict[str, object] = {}
    profile = picture.profile or (srgb_profile() if picture.tagged and not picture.is_gray else None)
    if profile:
        extra["icc_profile"] = profile
    if picture.dpi and format_ == "JPEG":
        extra["dpi"] = tuple(round(value) for value in picture.dpi)
    if picture.taken:
        extra["exif"] = b"Exif\0\0" + _exif(picture.taken)
    file = io.BytesIO()
    try:
        _as_pillow(picture).save(file, format_, **how, **extra)
    except FOREIGN_ERRORS as exc:
        raise ResultTooLarge(f"a picture of {picture.size_wh} cannot be written as {format_}: {exc}") from exc
    return file.getvalue()


def _as_pillow(picture: Picture) -> Image.Image:
    image = Image.fromarray(picture.pixels)
    if picture.alpha is None:
        return image
    image = image.convert("RGB")
    image.putalpha(Image.fromarray(picture.alpha))
    return image


def _exif(taken: str) -> bytes:
    """An EXIF block, from its TIFF header on, with nothing but the capture date in it."""
    exif = Image.Exif()
    exif.get_ifd(EXIF_BLOCK)[DATE_TAKEN] = taken
    return exif.tobytes().removeprefix(b"Exif\0\0")


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """The ICC profile of sRGB, some 600 bytes."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


_WRITERS = {"png": _write_png, "jpeg": _write_jpeg, "webp": _write_webp}
