"""What decoding one picture may cost, and the checks that need no pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.errors import DamagedImage, ImageTooLarge, OptionsError

MAX_SIDE = 65_535  # px; JPEG's limit, and far from any overflow

# Bytes per pixel that the process holds at its peak, above its start, by the name of the format: the library's own
# buffers, Pillow's picture and the result. Measured with pictures of 10 megapixels, the worst kind of each format.
PEAK_BYTES_PER_PIXEL = {
    "JPEG": 12,  # progressive: all coefficients are kept
    "PNG": 10,
    "WEBP": 18,  # canvases for animations, even for a still
    "BMP": 7,
    "GIF": 10,  # a frame as large as its screen but for a pixel, and that screen
    "TIFF": 9,
    "AVIF": 14,
    "HEIF": 13,
}
PEAK_BYTES_PER_SAMPLE_16_BIT = 5  # OpenCV's copy and the result
COPIES_OF_FILE = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodeLimits:
    """What is accepted of one file, and what its decoding may take.

    Args:
        max_bytes: length of the file.
        max_pixels: width times height; checked before pixels are touched.
        max_side: width and height.
        max_scans: passes of a progressive JPEG; real ones have about ten, and each costs the whole picture.
        max_seconds: wall-clock and CPU time; kept by :class:`models.decoding.Decoder` alone.
        max_memory_bytes: above what the process has at its start; what would surely not fit is refused early.

    Raises:
        OptionsError: a limit that admits nothing.
    """

    max_bytes: int = 200_000_000
    max_pixels: int = 40_000_000
    max_side: int = MAX_SIDE
    max_scans: int = 100
    max_seconds: float = 8.0
    max_memory_bytes: int = 850_000_000

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_pixels", "max_side", "max_scans", "max_memory_bytes"):
            if getattr(self, name) < 1:
                raise OptionsError(f"{name} must be 1 or more, not {getattr(self, name)!r}")
        if not (math.isfinite(self.max_seconds) and self.max_seconds > 0):
            raise OptionsError(f"max_seconds must be a number above 0, not {self.max_seconds!r}")

    def check_length(self, length_bytes: int) -> None:
        """Refuse a file that is too long."""
        if length_bytes > self.max_bytes:
            raise ImageTooLarge(f"the file has {length_bytes:,} bytes, the limit is {self.max_bytes:,}")

    def check_size(self, size_wh: tuple[int, int]) -> None:
        """Refuse sides and areas that are too large, or none at all."""
        width, height = size_wh
        if min(width, height) < 1:
            raise DamagedImage(f"the picture says it is {width}x{height}")
        if max(width, height) > self.max_side:
            raise ImageTooLarge(f"the picture is {width}x{height}, the limit is {self.max_side:,} pixels a side")
        if width * height > self.max_pixels:
            raise ImageTooLarge(
                f"the picture has {width * height:,} pixels ({width}x{height}), the limit is {self.max_pixels:,}"
            )

    def check_memory(self, size_wh: tuple[int, int], format_: str, *, length_bytes: int, samples_16_bit: int) -> None:
        """Refuse what would not fit into the memory.

        Args:
            size_wh: of the picture.
            format_: as Pillow names it.
            length_bytes: of the file, which is in memory, too, and handed on to the library.
            samples_16_bit: channels that are kept with 16 bits; 0: none.
        """
        width, height = size_wh
        per_pixel = PEAK_BYTES_PER_PIXEL.get(format_, max(PEAK_BYTES_PER_PIXEL.values()))
        if samples_16_bit:
            per_pixel = max(per_pixel, PEAK_BYTES_PER_SAMPLE_16_BIT * samples_16_bit)
        needed = width * height * per_pixel + COPIES_OF_FILE * length_bytes
        if needed > self.max_memory_bytes:
            raise ImageTooLarge(
                f"decoding {width}x{height} needs about {needed:,} bytes of memory, the limit is"
                f" {self.max_memory_bytes:,}"
            )
