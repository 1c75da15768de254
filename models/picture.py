"""Bytes from anybody to upright pixels in sRGB, or an ImageError saying what is wrong with them.

Pillow does the decoding, from a fixed list of formats, after limits on the header; OpenCV reads the pixels of
16-bit PNG, which Pillow would reduce to 8 bits. Nothing here trusts the file: not its name, not its length, not
its metadata.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from models.errors import DamagedImage, ImageTooLarge, UnsupportedFormat
from models.pixels import Pixels, UInt16

# Never EPS (Pillow would start Ghostscript), PSD, JPEG 2000 and the dozens of others.
# MPO, which phones write, is opened as the JPEG it starts with.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
READABLE = "PNG, JPEG, WebP, BMP, GIF and TIFF"
MAX_SIDE = 65_535  # px; JPEG's limit, and far from any overflow

# What Pillow's parsers have been seen to raise on hostile files; OSError alone is not enough.
FOREIGN_ERRORS = (
    OSError,  # with UnidentifiedImageError
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,  # with NotImplementedError
    AssertionError,
    MemoryError,
    BufferError,
    struct.error,
    Image.DecompressionBombError,
    ImageCms.PyCMSError,
    cv2.error,
)

ORIENTATION, DATE_TAKEN, DATE, EXIF_BLOCK = 0x0112, 0x9003, 0x0132, 0x8769  # EXIF tags
DATE_LENGTH = len("2024:05:06 07:08:09")

PNG_DEPTH, PNG_COLOUR = 24, 25  # offsets in the file: IHDR always comes first
PNG_GRAYS = (0, 4)  # without and with alpha

OPAQUE_MODES = {"L": "L", "RGB": "RGB", "1": "L", "YCbCr": "RGB", "RGBX": "RGB", "I;16": "I;16"}
ALPHA_MODES = {"LA": "LA", "La": "LA", "RGBA": "RGBA", "RGBa": "RGBA", "PA": "RGBA"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """An upright picture and what of its description is worth keeping.

    Args:
        pixels: (H, W) gray or (H, W, 3) RGB, uint8 or uint16, full range.
        alpha: (H, W) of the same type, largest value opaque; colours are not premultiplied. None: no alpha.
        format: as Pillow names it, such as ``PNG``.
        lossless: the file kept every pixel as it was.
        profile: ICC profile the pixels still are in; None means sRGB. Only 16-bit pictures keep theirs, because
            the colour engine would reduce them to 8 bits.
        tagged: the file said what its colours mean, so the result should.
        dpi: horizontal, vertical.
        taken: capture date as EXIF writes it, ``2024:05:06 07:08:09``.
        notices: stable codes of what the owner should know.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    format: str = "PNG"
    lossless: bool = True
    profile: bytes | None = None
    tagged: bool = False
    dpi: tuple[float, float] | None = None
    taken: str | None = None
    notices: tuple[str, ...] = ()

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width before height, in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def is_gray(self) -> bool:
        """One channel, not three."""
        return self.pixels.ndim == 2

    @property
    def is_16_bit(self) -> bool:
        """Decided by the file, never by how bright the picture is."""
        return self.pixels.dtype == np.uint16


def decode(data: bytes, *, max_pixels: int, max_bytes: int, max_side: int = MAX_SIDE) -> Picture:
    """Read the first picture of a file.

    Args:
        data: the whole file.
        max_pixels: width times height that is accepted; checked before pixels are touched.
        max_bytes: length of the file that is accepted.
        max_side: width and height that are accepted.

    Raises:
        UnsupportedFormat: no picture, or of a kind that is not read here.
        ImageTooLarge: above a limit; the message has both numbers.
        DamagedImage: cannot be decoded to its end.
    """
    if len(data) > max_bytes:
        raise ImageTooLarge(f"the file has {len(data):,} bytes, the limit is {max_bytes:,}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about what is checked, or ignored on purpose, here
        image = _open(data)
        _check_size(image.size, max_pixels, max_side)
        orientation, notices = 1, _frame_notice(image)
        try:
            image.load()
            orientation = _orientation(image)
            picture = _upright(_to_picture(image, data), orientation)
        except FOREIGN_ERRORS as exc:
            raise DamagedImage(f"the {image.format} file is damaged: {_one_line(exc)}") from exc
        taken, dpi = _date_taken(image), _dpi(image, turned=orientation > 4)
        return replace(picture, dpi=dpi, taken=taken, notices=(*notices, *picture.notices))


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as exc:
        raise ImageTooLarge(f"the picture is far too large: {_one_line(exc)}") from exc
    except UnidentifiedImageError as exc:
        raise UnsupportedFormat(f"this is no picture that can be read here; readable are {READABLE}") from exc
    except FOREIGN_ERRORS as exc:
        raise DamagedImage(f"the file's header is damaged: {_one_line(exc)}") from exc


def _check_size(size_wh: tuple[int, int], max_pixels: int, max_side: int) -> None:
    width, height = size_wh
    if min(width, height) < 1:
        raise DamagedImage(f"the picture says it is {width}x{height}")
    if max(width, height) > max_side:
        raise ImageTooLarge(f"the picture is {width}x{height}, the limit is {max_side:,} pixels a side")
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"the picture has {width * height:,} pixels ({width}x{height}), the limit is {max_pixels:,}"
        )


def _frame_notice(image: Image.Image) -> tuple[str, ...]:
    # The further pictures of a phone's MPO are previews and gain maps, not frames anybody misses.
    if image.format == "MPO":
        return ()
    try:
        animated = bool(getattr(image, "is_animated", False))
    except FOREIGN_ERRORS as exc:
        raise DamagedImage(f"the {image.format} file is damaged: {_one_line(exc)}") from exc
    return ("first_frame_only",) if animated else ()


def _to_picture(image: Image.Image, data: bytes) -> Picture:
    """Pixels and alpha of a loaded image, in sRGB where that keeps the depth."""
    known = partial(
        Picture,
        format="JPEG" if image.format == "MPO" else str(image.format),
        lossless=_is_lossless(image, data),
    )
    profile = image.info.get("icc_profile") or None
    if image.format == "PNG" and data[PNG_DEPTH] == 16:
        pixels, alpha = _read_16_bit_png(data)
        return known(pixels=pixels, alpha=alpha, profile=profile, tagged=bool(profile))
    colours, see_through = _split(image)
    if colours.mode == "I;16":
        return known(pixels=np.asarray(colours).astype(np.uint16))
    colours, notices = _to_srgb(colours, profile)
    return known(
        pixels=np.asarray(colours),
        alpha=None if see_through is None else np.asarray(see_through),
        notices=notices,
        tagged=bool(profile),
    )


def _read_16_bit_png(data: bytes) -> tuple[UInt16, UInt16 | None]:
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16:
        raise ValueError("the 16-bit pixels cannot be read")
    levels = decoded.astype(np.uint16, copy=False)
    if levels.ndim == 2:
        return levels, None
    alpha = np.ascontiguousarray(levels[..., 3]) if levels.shape[2] == 4 else None
    if data[PNG_COLOUR] in PNG_GRAYS:
        return np.ascontiguousarray(levels[..., 0]), alpha
    return np.ascontiguousarray(levels[..., 2::-1]), alpha


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours (L, RGB, CMYK or I;16) and alpha of any mode that is read here."""
    see_through = "transparency" in image.info
    if image.mode == "P":
        image = image.convert("RGBA" if see_through else "RGB")
    elif see_through and image.mode in {"1", "L", "RGB"}:
        image = image.convert("RGBA" if image.mode == "RGB" else "LA")
    if image.mode in ALPHA_MODES:
        with_alpha = image.convert(ALPHA_MODES[image.mode])
        return with_alpha.convert(with_alpha.mode[:-1]), with_alpha.getchannel("A")
    if image.mode == "CMYK":
        return image, None
    if image.mode not in OPAQUE_MODES:
        raise UnsupportedFormat(f"a {image.format} of the kind {image.mode} is not read here")
    return image.convert(OPAQUE_MODES[image.mode]), None


def _to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    """Colours as sRGB (L or RGB); a profile that does not work is ignored, with a notice."""
    plain = image.convert("RGB") if image.mode == "CMYK" else image
    if not profile:
        return plain, ()
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        # Gray pictures often carry a profile for colours; their grays are grays there, too.
        colours = image.convert("RGB") if source.profile.xcolor_space == "RGB " else image
        converted = ImageCms.profileToProfile(colours, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except FOREIGN_ERRORS:
        return plain, ("profile_ignored",)
    if converted is None:
        return plain, ("profile_ignored",)
    return (converted.getchannel("G") if image.mode == "L" else converted), ()


def _is_lossless(image: Image.Image, data: bytes) -> bool:
    if image.format == "WEBP":
        return _first_webp_bitstream(data) == b"VP8L"
    return image.format not in {"JPEG", "MPO"}


def _first_webp_bitstream(data: bytes) -> bytes:
    """The kind of the first chunk with pixels: ``VP8L``, ``VP8 `` (lossy) or ``ANMF`` (a frame of either)."""
    offset = len(b"RIFF....WEBP")
    while offset + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, offset)
        if kind in {b"VP8L", b"VP8 ", b"ANMF"}:
            return bytes(kind)
        offset += 8 + length + length % 2
    return b""


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; Pillow has turned TIFF already. A bad tag does not lose the picture."""
    if image.format == "TIFF":
        return 1
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except FOREIGN_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(picture: Picture, orientation: int) -> Picture:
    if orientation == 1:
        return picture
    alpha = None if picture.alpha is None else turn(picture.alpha, orientation)
    return replace(picture, pixels=turn(picture.pixels, orientation), alpha=alpha)


def turn(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation (1 to 8) of an (H, W, ...) array; the result is contiguous."""
    if orientation > 4:  # stored rows are columns of the scene
        pixels = pixels.swapaxes(0, 1)
    # Where the scene's top and left went: rows from below, columns from the right.
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _date_taken(image: Image.Image) -> str | None:
    """Capture date, if it looks like one; the only text of the file that goes on."""
    try:
        exif = image.getexif()
        value = exif.get_ifd(EXIF_BLOCK).get(DATE_TAKEN) or exif.get(DATE)
    except FOREIGN_ERRORS:
        return None
    if not isinstance(value, str):
        return None
    date = value.strip("\0 ")
    is_date = len(date) == DATE_LENGTH and date.isascii() and date.translate(str.maketrans("", "", ": ")).isdecimal()
    return date if is_date else None


def _dpi(image: Image.Image, *, turned: bool) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except FOREIGN_ERRORS:
        return None
    if not all(math.isfinite(value) and 1 <= value <= 65_535 for value in (across, down)):
        return None
    return (down, across) if turned else (across, down)


def _one_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0][:200]
