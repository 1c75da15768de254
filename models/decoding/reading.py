"""Bytes from anybody to an upright picture in sRGB, or an ImageError saying what is wrong with them.

Pillow and pillow-heif decode, from a fixed list of formats, after limits on the header; OpenCV reads the pixels of
16-bit PNG and TIFF, which Pillow would reduce to 8 bits. Nothing here trusts the file: not its name, not its length,
not its metadata. Time and memory can only be bounded from outside: that is what :class:`models.decoding.Decoder` does.
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, MpoImagePlugin, UnidentifiedImageError
from pillow_heif import register_heif_opener

from models.decoding import boxes, jpeg, png, profiles, webp
from models.decoding.canvas import STRIP, Allocate, Canvas, are_equal, private_memory
from models.decoding.colour import Converter, Strip, fits_16_bit
from models.decoding.limits import DecodeLimits
from models.decoding.sniff import sniff
from models.errors import DamagedImage, ImageTooComplex, ImageTooLarge
from models.picture import DATE, DATE_TAKEN, EXIF_BLOCK, FOREIGN_ERRORS, ORIENTATION, Picture

DECODING_THREADS = 2  # of the AV1 and HEVC decoders; each takes memory of its own
register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=DECODING_THREADS)
AvifImagePlugin.DEFAULT_MAX_THREADS = DECODING_THREADS

# What a phone calls JPEG may be an MPO, whose first picture it is.
PLUGINS = {"JPEG": ("JPEG", MpoImagePlugin.MpoImageFile.format)}
TURNED_BY_LIBRARY = {"TIFF", "AVIF", "HEIF"}
DATE_LENGTH = len("2024:05:06 07:08:09")
BITS_PER_SAMPLE, PHOTOMETRIC, PLANAR, EXTRA_SAMPLES, SAMPLE_FORMAT = 258, 262, 284, 338, 339  # TIFF tags
RGB, NOT_PREMULTIPLIED = 2, 2  # values of two of them


@dataclass(frozen=True, slots=True)
class _Source:
    """A file whose header was read and found acceptable."""

    data: bytes
    format: str
    image: Image.Image
    png: png.PngFile | None = None
    nclx: tuple[int, int] | None = None

    @property
    def profile(self) -> bytes | None:
        """ICC profile, given or made from what the file calls its colours by number."""
        by_number = self.png.cicp if self.png else None
        if by_number:  # in a PNG it outranks a profile, elsewhere a profile outranks it
            return profiles.profile_of(*by_number)
        given: bytes | None = self.image.info.get("icc_profile")
        return given or (profiles.profile_of(*self.nclx) if self.nclx else None)


def decode_here(data: bytes, limits: DecodeLimits, *, allocate: Allocate = private_memory) -> Picture:
    """Read the first picture of a file in this process; its limits on time and memory are not kept.

    Args:
        data: the whole file.
        limits: what is accepted.
        allocate: gives the memory for the result.

    Raises:
        UnsupportedFormat: no picture, or of a kind that is not read here.
        ImageTooLarge: above a limit; the message has both numbers.
        ImageTooComplex: takes too much work for what it is.
        DamagedImage: cannot be decoded to its end.
    """
    limits.check_length(len(data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about what is checked, or ignored on purpose, here
        source = _opened(data, limits)
        limits.check_size(source.image.size)
        limits.check_memory(
            source.image.size, source.format, length_bytes=len(data), samples_16_bit=_samples_16_bit(source)
        )
        try:
            notices = _frame_notice(source)
            return _picture(source, limits, notices, allocate)
        except MemoryError as exc:
            raise ImageTooLarge(_no_memory(source.image.size, limits)) from exc
        except FOREIGN_ERRORS as exc:
            raise DamagedImage(f"the {source.format} file is damaged: {_one_line(exc)}") from exc


def _opened(data: bytes, limits: DecodeLimits) -> _Source:
    format_ = sniff(data)
    png_file, nclx = None, None
    if format_ == "PNG":
        png_file = png.read_png(data)
        data = png_file.data
    elif format_ == "JPEG":
        _check_scans(data, limits)
    elif format_ == "WEBP" and (size_wh := webp.webp_size(data)):
        limits.check_size(size_wh)
    elif format_ in {"AVIF", "HEIF"}:
        described = boxes.describe(data)
        nclx = described.nclx
        if described.size_wh:
            limits.check_size(described.size_wh)
    try:
        image = Image.open(io.BytesIO(data), formats=PLUGINS.get(format_, (format_,)))
    except Image.DecompressionBombError as exc:
        raise ImageTooLarge(f"the picture is far too large: {_one_line(exc)}") from exc
    except MemoryError as exc:
        raise ImageTooLarge("the header of the picture asks for more memory than there is") from exc
    except UnidentifiedImageError as exc:
        raise DamagedImage(f"the file starts like {format_}, but its header is damaged or of an unknown kind") from exc
    except FOREIGN_ERRORS as exc:
        raise DamagedImage(f"the header of the {format_} file is damaged: {_one_line(exc)}") from exc
    return _Source(data, format_, image, png_file, nclx)


def _check_scans(data: bytes, limits: DecodeLimits) -> None:
    if jpeg.count_scans(data, enough=limits.max_scans) > limits.max_scans:
        raise ImageTooComplex(f"the JPEG file has more than {limits.max_scans} scans, real ones have about ten")


def _no_memory(size_wh: tuple[int, int], limits: DecodeLimits) -> str:
    return f"decoding {size_wh[0]}x{size_wh[1]} takes more than {limits.max_memory_bytes:,} bytes of memory"


def _frame_notice(source: _Source) -> tuple[str, ...]:
    # The further pictures of a phone's MPO are previews and gain maps, not frames anybody misses.
    if source.image.format == "MPO":
        return ()
    animated = source.png.animated if source.png else getattr(source.image, "is_animated", False)
    return ("first_frame_only",) if animated else ()


def _picture(source: _Source, limits: DecodeLimits, notices: tuple[str, ...], allocate: Allocate) -> Picture:
    image, size_before = source.image, source.image.size
    orientation = _tiff_orientation(image) if source.format == "TIFF" else 1  # while the tag is still there
    image.load()
    if sorted(image.size) != sorted(size_before):  # what the pixels of a HEIC say counts more than its header
        limits.check_size(image.size)
    if source.format not in TURNED_BY_LIBRARY:
        orientation = _exif_orientation(image)
    if source.png and source.png.depth in {2, 4} and isinstance(image.info.get("transparency"), int):
        image.info["transparency"] *= 255 // (2**source.png.depth - 1)  # Pillow spreads the grays, but not this one
    dpi, taken = _dpi(image, turned=orientation > 4), _date_taken(image)
    profile = source.profile
    canvas, ignored = _canvas(source, profile, orientation, allocate)
    kept = profile if canvas.pixels.dtype == np.uint16 and not ignored else None
    if canvas.is_neutral and not kept:
        canvas.narrow()
    lost = ignored or bool(source.png and source.png.lost_profile)
    return Picture(
        pixels=canvas.pixels,
        alpha=canvas.alpha,
        format=source.format,
        lossless=_is_lossless(source),
        profile=kept,
        tagged=bool(profile),
        dpi=dpi,
        taken=taken,
        notices=(*notices, *(("profile_ignored",) if lost else ())),
    )


def _canvas(source: _Source, profile: bytes | None, orientation: int, allocate: Allocate) -> tuple[Canvas, bool]:
    """The pixels, and whether a profile had to be ignored."""
    wide = _wide(source, orientation, allocate) if _samples_16_bit(source) else None
    if wide is None:
        return _converted(source.image, profile, 1 if source.format in TURNED_BY_LIBRARY else orientation, allocate)
    return wide, bool(profile) and not fits_16_bit(profile or b"", is_gray=wide.pixels.ndim == 2)


def _converted(image: Image.Image, profile: bytes | None, orientation: int, allocate: Allocate) -> tuple[Canvas, bool]:
    """Pixels of at most 8 bits, in sRGB; 16-bit grays as they are."""
    converter = Converter(image, profile)
    canvas = Canvas(
        image.size,
        orientation,
        channels=converter.channels,
        dtype=np.dtype(np.uint16 if converter.mode == "I;16" else np.uint8),
        with_alpha=converter.has_alpha,
        allocate=allocate,
    )
    width, height = image.size
    for top in range(0, height, STRIP):
        strip = converter.strip(image.crop((0, top, width, min(top + STRIP, height))))
        canvas.write(top, strip.colours, strip.alpha, is_neutral=strip.is_neutral)
    return canvas, converter.ignored_profile


def _samples_16_bit(source: _Source) -> int:
    """Channels of 16 bits that OpenCV can read and Pillow would reduce; 0: none."""
    if source.png:
        return source.png.samples if source.png.depth == 16 else 0
    if source.format != "TIFF":
        return 0
    try:
        tags = source.image.tag_v2  # type: ignore[attr-defined]  # of the TIFF plugin's class
        bits = tuple(tags.get(BITS_PER_SAMPLE, (1,)))
        plain = set(bits) == {16} and set(tags.get(SAMPLE_FORMAT, (1,))) == {1} and tags.get(PLANAR, 1) == 1
        is_rgb = tags.get(PHOTOMETRIC) == RGB and len(bits) == 3 + len(tags.get(EXTRA_SAMPLES, ()))
        has_fitting_alpha = len(bits) == 3 or tuple(tags[EXTRA_SAMPLES]) == (NOT_PREMULTIPLIED,)
    except FOREIGN_ERRORS:
        return 0
    return len(bits) if plain and is_rgb and has_fitting_alpha else 0


def _wide(source: _Source, orientation: int, allocate: Allocate) -> Canvas | None:
    """16-bit pixels as they are, with OpenCV; None for a TIFF of a kind it does not know.

    Pillow has loaded the file before, so it is whole.
    """
    is_gray = bool(source.png and source.png.is_gray)
    if source.png:
        source.image.im = None  # type: ignore[assignment]  # these pixels are not needed any more
    levels = cv2.imdecode(np.frombuffer(source.data, np.uint8), cv2.IMREAD_UNCHANGED)
    if levels is None or levels.dtype != np.uint16 or sorted(levels.shape[1::-1]) != sorted(source.image.size):
        if source.png:
            raise ValueError("the 16-bit pixels cannot be read")
        return None
    gray_that_hides = source.image.info.get("transparency") if levels.ndim == 2 else None
    hidden = gray_that_hides if isinstance(gray_that_hides, int) else None
    canvas = Canvas(
        (levels.shape[1], levels.shape[0]),
        orientation,
        channels=1 if is_gray or levels.ndim == 2 else 3,
        dtype=np.dtype(np.uint16),
        with_alpha=hidden is not None or (levels.ndim == 3 and levels.shape[2] == 4),
        allocate=allocate,
    )
    for top in range(0, len(levels), STRIP):
        strip = _wide_strip(levels[top : top + STRIP].astype(np.uint16, copy=False), is_gray=is_gray, hidden=hidden)
        canvas.write(top, strip.colours, strip.alpha, is_neutral=strip.is_neutral)
    return canvas


def _wide_strip(levels: NDArray[np.uint16], *, is_gray: bool, hidden: int | None) -> Strip:
    if levels.ndim == 2:
        return Strip(levels, None if hidden is None else np.where(levels == hidden, 0, 65535).astype(np.uint16))
    alpha = levels[..., 3] if levels.shape[2] == 4 else None
    if is_gray:
        return Strip(levels[..., 0], alpha)
    return Strip(levels[..., 2::-1], alpha, is_neutral=are_equal(levels[..., :3]))


def _is_lossless(source: _Source) -> bool:
    if source.format == "WEBP":
        return webp.first_bitstream(source.data) == b"VP8L"
    return source.format not in {"JPEG", "AVIF", "HEIF"}


def _exif_orientation(image: Image.Image) -> int:
    """EXIF or XMP orientation 1 to 8. A bad tag does not lose the picture."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except FOREIGN_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _tiff_orientation(image: Image.Image) -> int:
    """What Pillow undoes while it loads, and OpenCV does not."""
    value = image.tag_v2.get(ORIENTATION, 1)  # type: ignore[attr-defined]
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


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
