"""What a Telegram client does to a picture before it sends it."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

from emulator import limits
from emulator.errors import UnusableError

THUMBNAIL_SIDE = 320  # px
_DECODE_ERRORS = (
    UnidentifiedImageError,
    OSError,
    ValueError,
    SyntaxError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,  # where warnings are errors
)


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture and its size in pixels."""

    content: bytes
    size_wh: tuple[int, int]


def measure(content: bytes) -> tuple[int, int]:
    """Width and height in pixels as displayed; UnusableError if it is no picture Pillow knows."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112, 1) >= 5
    except _DECODE_ERRORS as error:
        raise UnusableError("this file is not a picture that Telegram could show; send it as a file") from error
    return (height, width) if turned else (width, height)


def compress_photo(content: bytes) -> tuple[Picture, ...]:
    """The JPEGs of a photo, smallest first: turned upright, on white, without any metadata.

    Raises:
        UnusableError: the bytes are no picture.
    """
    image = _decode(content)
    longer = max(image.size)
    sides = [side for _, side in limits.PHOTO_SIZES if side < longer]
    if len(sides) < len(limits.PHOTO_SIZES):
        sides.append(longer)
    return tuple(_jpeg(image, side, limits.PHOTO_JPEG_QUALITY) for side in sides)


def thumbnail(content: bytes) -> Picture | None:
    """The preview of a document; None if it is no picture."""
    try:
        return _jpeg(_decode(content, draft=THUMBNAIL_SIDE), THUMBNAIL_SIDE, 80)
    except UnusableError:
        return None


def make_sticker(content: bytes) -> Picture:
    """A static sticker: WebP with the longer side of 512 px; a WebP of that size stays as it is."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.format == "WEBP" and max(image.size) <= limits.STICKER_SIDE:
                return Picture(content, image.size)
            fitted = ImageOps.contain(image.convert("RGBA"), (limits.STICKER_SIDE, limits.STICKER_SIDE))
    except _DECODE_ERRORS as error:
        raise UnusableError("this file is not a picture that Telegram could show; send it as a file") from error
    encoded = io.BytesIO()
    fitted.save(encoded, "WEBP", quality=90)
    return Picture(encoded.getvalue(), fitted.size)


def _decode(content: bytes, draft: int | None = None) -> Image.Image:
    try:
        with Image.open(io.BytesIO(content)) as image:
            if draft is not None:
                image.draft("RGB", (draft, draft))
            upright = ImageOps.exif_transpose(image)
            if upright.mode in {"RGBA", "LA", "PA"} or "transparency" in upright.info:
                layer = upright.convert("RGBA")
                return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
            return upright.convert("RGB")
    except _DECODE_ERRORS as error:
        raise UnusableError("this file is not a picture that Telegram could show; send it as a file") from error


def _jpeg(image: Image.Image, side: int, quality: int) -> Picture:
    scale = min(1.0, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    resized = image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    resized.save(encoded, "JPEG", quality=quality)
    return Picture(encoded.getvalue(), size)
