"""Formats a result can have, what each cannot hold, and the ways to write one, best first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from models.encoding.description import has_absurd_profile
from models.options import OutputFormat
from models.picture import Picture

FileFormat = Literal["png", "jpeg", "webp"]

MIMES: dict[FileFormat, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
EXTENSIONS: dict[FileFormat, str] = {"png": "png", "jpeg": "jpg", "webp": "webp"}
MAX_SIDES: dict[FileFormat, int] = {"png": 1_000_000, "jpeg": 65_500, "webp": 16_383}  # libpng, libjpeg, libwebp

LINES_AND_FLATS = ("drawing", "text")  # around whose edges JPEG leaves dirt that everybody sees
QUALITY = 95
LOWER_QUALITIES = (90, 85, 80, 70)  # below that a restored picture is no gift
SCALES = (0.5**0.25, 0.5**0.5, 0.5**0.75, 0.5)  # of a side: the last leaves a quarter of the pixels


@dataclass(frozen=True, slots=True)
class Encoded:
    """A finished file.

    Args:
        data: its bytes.
        format: which may differ from the one asked for only if that was ``auto``.
        size_wh: width and height in pixels, smaller than the picture's where ``scale_reduced`` is a notice.
        quality: of a lossy format, 0 to 100; None where every sample was kept.
        notices: stable codes of what its owner should know.
    """

    data: bytes = field(repr=False)
    format: FileFormat
    size_wh: tuple[int, int]
    quality: int | None = None
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
    size_wh: tuple[int, int]
    quality: int | None = None
    notices: tuple[str, ...] = ()


def natural_format(picture: Picture, kind: str | None = None) -> FileFormat:
    """The format ``auto`` means.

    Args:
        picture: what is to be written; its ``lossless`` is about the file it came from.
        kind: what it shows, as the planner names it: ``drawing`` and ``text`` stay lossless, everything else is a
            photo. None: not known, so that nothing the original kept is lost.
    """
    if picture.alpha is not None or picture.is_16_bit:
        return "png"
    keeps_all = picture.lossless if kind is None else kind in LINES_AND_FLATS
    return "png" if keeps_all else "jpeg"


def fits_some_format(picture: Picture, size_wh: tuple[int, int], wanted: OutputFormat = "auto") -> bool:
    """Whether a result of ``size_wh`` can be written at all; to be asked before any work is done.

    Args:
        picture: the original: only its kind of pixels matters.
        size_wh: of the result.
        wanted: format, or ``auto``.
    """
    return next(attempts(picture, size_wh, wanted, limited=False), None) is not None


def attempts(
    picture: Picture, size_wh: tuple[int, int], wanted: OutputFormat, *, limited: bool, kind: str | None = None
) -> Iterator[Attempt]:
    """Ways of writing ``picture`` at ``size_wh``, best first; empty where the size fits no allowed format.

    Args:
        picture: the original, or the result: only its kind of pixels matters.
        size_wh: of the result.
        wanted: what was asked for. Only ``auto`` may change the format, and says so with ``format_changed``.
        limited: whether there is a limit on bytes, so that less quality and then fewer pixels may be needed.
        kind: see :func:`natural_format`.
    """
    first = natural_format(picture, kind) if wanted == "auto" else wanted
    allowed: list[FileFormat] = [first]
    if wanted == "auto":
        lossy: FileFormat = "webp" if picture.alpha is not None else "jpeg"
        allowed += [other for other in (lossy, "png") if other != first and (limited or other == "png")]
    last: FileFormat = next((format_ for format_ in allowed if format_ != "png"), "png")
    for format_ in allowed:
        yield from _at_size(format_, size_wh, first, qualities=(QUALITY, *(LOWER_QUALITIES if limited else ())))
    if not limited or (wanted != "auto" and max(size_wh) > MAX_SIDES[wanted]):
        return
    for smaller in dict.fromkeys(scaled(size_wh, scale) for scale in SCALES):
        if smaller != size_wh:
            yield from _at_size(last, smaller, first, qualities=LOWER_QUALITIES[-1:], notices=("scale_reduced",))


def _at_size(
    format_: FileFormat,
    size_wh: tuple[int, int],
    first: FileFormat,
    *,
    qualities: tuple[int, ...],
    notices: tuple[str, ...] = (),
) -> Iterator[Attempt]:
    if max(size_wh) > MAX_SIDES[format_]:
        return
    changed = ("format_changed",) if format_ != first else ()
    if format_ == "png":
        yield Attempt(format_, size_wh, None, (*changed, *notices))
        return
    for quality in qualities:
        lowered = ("quality_reduced",) if quality < QUALITY else ()
        yield Attempt(format_, size_wh, quality, (*changed, *lowered, *notices))


def scaled(size_wh: tuple[int, int], scale: float) -> tuple[int, int]:
    """Both sides times ``scale``, at least one pixel each."""
    return max(1, round(size_wh[0] * scale)), max(1, round(size_wh[1] * scale))


def losses(picture: Picture, format_: FileFormat) -> tuple[str, ...]:
    """Notices about what of the picture ``format_`` has no room for."""
    too_deep = ("depth_reduced",) if format_ != "png" and picture.is_16_bit else ()
    see_through = ("alpha_flattened",) if format_ == "jpeg" and picture.alpha is not None else ()
    absurd = ("profile_ignored",) if has_absurd_profile(picture) else ()
    return (*too_deep, *see_through, *absurd)
