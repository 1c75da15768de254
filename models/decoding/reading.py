"""Bytes from anybody to an upright picture in sRGB, or an ImageError saying what is wrong with them.

Pillow and pillow-heif decode, from a fixed list of formats, after limits on the header; OpenCV reads the pixels of
16-bit PNG and TIFF, which Pillow would reduce to 8 bits. Nothing here trusts the file: not its name, not its length,
not its metadata. Time and memory can only be bounded from outside: that is what :class:`models.decoding.Decoder` does.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, replace

import numpy as np
from PIL import AvifImagePlugin, Image, UnidentifiedImageError
from pillow_heif import register_heif_opener

from models.decoding import boxes, colour, jpeg, png, profiles, tiff, webp
from models.decoding.canvas import STRIP, Allocate, Canvas, private_memory
from models.decoding.colour import Converter, kept_with_16_bit
from models.decoding.description import date_taken, dpi, exif_orientation
from models.decoding.limits import DecodeLimits
from models.decoding.sniff import RAW, refusal, sniff
from models.decoding.wide import read_16_bit, samples_16_bit
from models.errors import DamagedImage, ImageTooComplex, ImageTooLarge, UnsupportedFormat
from models.picture import FOREIGN_ERRORS, Picture

DECODING_THREADS = 2  # of the AV1 and HEVC decoders; each takes memory of its own
register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=DECODING_THREADS)
AvifImagePlugin.DEFAULT_MAX_THREADS = DECODING_THREADS

# TIFF by Pillow and by OpenCV. AVIF is not: Pillow hands on what its boxes say as if EXIF had said it.
TURNED_BY_LIBRARY = {"TIFF", "HEIF"}


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
        if self.png and not given:
            stays_gray = self.png.is_gray and self.png.depth == 16  # in 8 bits that of colours is more exact
            return profiles.measured_profile(self.png.gamma, self.png.chromaticities, is_gray=stays_gray)
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
        wide = samples_16_bit(source.image, source.png)
        limits.check_memory(source.image.size, source.format, length_bytes=len(data), samples_16_bit=wide)
        try:
            notices = _frame_notice(source)
            return _picture(_ready(source), limits, notices, allocate)
        except MemoryError as exc:
            raise ImageTooLarge(_no_memory(source.image.size, limits)) from exc
        except FOREIGN_ERRORS as exc:
            raise DamagedImage(f"the {source.format} file is damaged: {_one_line(exc)}") from exc


def _opened(data: bytes, limits: DecodeLimits) -> _Source:
    format_ = sniff(data)
    png_file = png.read_png(data) if format_ == "PNG" else None
    data = png_file.data if png_file else data
    nclx = _check_header(data, format_, limits)
    try:
        if format_ == "TIFF":
            data, image = tiff.open_tiff(data)
        else:
            image = Image.open(io.BytesIO(data), formats=(format_,))
    except Image.DecompressionBombError as exc:
        raise ImageTooLarge(f"the picture is far too large: {_one_line(exc)}") from exc
    except MemoryError as exc:
        raise ImageTooLarge("the header of the picture asks for more memory than there is") from exc
    except UnidentifiedImageError as exc:
        if format_ == "TIFF" and tiff.says_what_it_is(data):
            raise UnsupportedFormat(f"a TIFF of this kind is not read here; {colour.ANEW}") from exc
        raise DamagedImage(f"the file starts like {format_}, but its header is damaged or of an unknown kind") from exc
    except FOREIGN_ERRORS as exc:
        raise DamagedImage(f"the header of the {format_} file is damaged: {_one_line(exc)}") from exc
    return _Source(data, format_, image, png_file, nclx)


def _check_header(data: bytes, format_: str, limits: DecodeLimits) -> tuple[int, int] | None:
    """Refuse what can be refused before a library sees it; the answer is what the colours are called by number."""
    if format_ == "TIFF" and tiff.is_camera_raw(data):
        raise refusal(RAW)
    if format_ == "JPEG":
        _check_jpeg(data, limits)
    elif format_ == "WEBP" and (size_wh := webp.webp_size(data)):
        limits.check_size(size_wh)
    elif format_ in {"AVIF", "HEIF"}:
        described = boxes.describe(data)
        if described.size_wh:
            limits.check_size(described.size_wh)
        return described.nclx
    return None


def _check_jpeg(data: bytes, limits: DecodeLimits) -> None:
    if frame := jpeg.frame(data):
        frame.check()
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


def _ready(source: _Source) -> _Source:
    if source.png:
        source.png.check_palette()
    if source.format == "JPEG":
        jpeg.watch_scans(source.data, source.image)
    if source.format != "TIFF":
        return source
    tiff.check_parts(source.image)
    return replace(source, image=tiff.ready_to_load(source.data, source.image))


def _picture(source: _Source, limits: DecodeLimits, notices: tuple[str, ...], allocate: Allocate) -> Picture:
    image, size_before = source.image, source.image.size
    frame = image.tile[0][1] if source.format == "GIF" else None  # type: ignore[attr-defined]  # of files
    was_on_its_side = source.format == "TIFF" and exif_orientation(image) > 4  # loading turns it and forgets that
    image.load()
    if source.format == "JPEG":
        jpeg.check_end(source.data, image)
    elif source.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        image.putalpha(255)  # whoever wrote it meant nothing by its fourth byte
    elif frame and frame != (0, 0, *image.size):
        image = _see_through_around(frame, image)
        source = replace(source, image=image)
    if source.png:
        source.png.check_rows(np.asarray(image.crop((0, image.height - 1, image.width, image.height))))
    if sorted(image.size) != sorted(size_before):  # what the pixels of a HEIC say counts more than its header
        limits.check_size(image.size)
    orientation = 1 if source.format in TURNED_BY_LIBRARY else exif_orientation(image)
    if source.png and source.png.depth in {2, 4} and isinstance(image.info.get("transparency"), int):
        image.info["transparency"] *= 255 // (2**source.png.depth - 1)  # Pillow spreads the grays, but not this one
    resolution, taken = dpi(image, turned=was_on_its_side or orientation > 4), date_taken(image)
    profile = source.profile
    canvas, kept, ignored = _canvas(source, profile, orientation, allocate)
    if canvas.is_neutral and not kept:
        canvas.narrow()
    lost = ignored or _has_lost_profile(source)
    return Picture(
        pixels=canvas.pixels,
        alpha=canvas.alpha,
        format=source.format,
        lossless=_is_lossless(source),
        profile=kept,
        tagged=bool(profile),
        dpi=resolution,
        taken=taken,
        notices=(*notices, *(("profile_ignored",) if lost else ())),
    )


def _see_through_around(frame: tuple[int, int, int, int], image: Image.Image) -> Image.Image:
    """A GIF whose first frame does not cover its screen; Pillow fills the rest with some colour of the palette."""
    seen = image.crop(frame).convert("RGBA")
    clear = Image.new("RGBA", image.size)
    clear.paste(seen, frame)
    clear.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return clear


def _has_lost_profile(source: _Source) -> bool:
    """Whether the file has a colour profile of which parts are missing or damaged."""
    if source.png:
        return source.png.lost_profile
    return source.format == "JPEG" and not source.profile and jpeg.has_profile(source.data)


def _canvas(
    source: _Source, profile: bytes | None, orientation: int, allocate: Allocate
) -> tuple[Canvas, bytes | None, bool]:
    """The pixels, the profile they still are in, and whether one had to be ignored."""
    canvas, ignored = None, False
    if samples_16_bit(source.image, source.png):
        canvas = read_16_bit(source.data, source.image, source.png, orientation, allocate)
    if canvas is None:
        canvas, ignored = _converted(source.image, profile, orientation, allocate)
    if not profile or canvas.pixels.dtype != np.uint16:
        return canvas, None, ignored
    try:
        return canvas, kept_with_16_bit(profile, is_gray=canvas.pixels.ndim == 2), False
    except FOREIGN_ERRORS:
        return canvas, None, True


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


def _is_lossless(source: _Source) -> bool:
    if source.format == "WEBP":
        return webp.first_bitstream(source.data) == b"VP8L"
    return source.format not in {"JPEG", "AVIF", "HEIF"}


def _one_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0][:200]
