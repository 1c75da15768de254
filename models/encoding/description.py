"""What a file says about its picture: colour space, resolution, capture date, recipe.

Nothing else of the original goes on: no place, no camera, no comment.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageCms

from models.picture import Picture

DATE_TAKEN, EXIF_BLOCK = 0x9003, 0x8769  # EXIF tags
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, INCH = 0x011A, 0x011B, 0x0128, 2
MAX_PROFILE_BYTES = 255 * 65_519  # what JPEG has room for; real ones have thousands, seldom a few millions
PROFILE_DATE = slice(24, 36)  # in an ICC profile's header


@dataclass(frozen=True, slots=True)
class Description:
    """What is written besides pixels.

    Args:
        profile: ICC profile; None where the format's own word for sRGB, or nothing, is enough.
        is_srgb: the colours are known to be sRGB.
        dpi: horizontal, vertical.
        taken: capture date as EXIF writes it, ``2024:05:06 07:08:09``.
        packet: an XMP packet.
    """

    profile: bytes | None = None
    is_srgb: bool = False
    dpi: tuple[float, float] | None = None
    taken: str | None = None
    packet: bytes | None = None

    @classmethod
    def of(cls, picture: Picture, packet: bytes | None, *, has_srgb_mark: bool) -> Description:
        """What is worth saying of ``picture`` in a format with (PNG) or without a mark of its own for sRGB.

        A gray picture needs no profile for three colours. See :func:`has_absurd_profile`.
        """
        is_srgb = picture.tagged and not picture.profile
        spelt_out = is_srgb and not has_srgb_mark and not picture.is_gray
        own = None if has_absurd_profile(picture) else picture.profile
        profile = srgb_profile() if spelt_out else own
        return cls(profile, is_srgb, picture.dpi, picture.taken, packet)

    def exif(self, *, with_dpi: bool = False) -> bytes:
        """An EXIF block, from its TIFF header on, with the capture date, and resolution if asked, or empty."""
        exif = Image.Exif()
        if self.taken:
            exif.get_ifd(EXIF_BLOCK)[DATE_TAKEN] = self.taken
        if self.dpi and with_dpi:
            exif[X_RESOLUTION], exif[Y_RESOLUTION] = self.dpi
            exif[RESOLUTION_UNIT] = INCH
        return exif.tobytes().removeprefix(b"Exif\0\0") if self.taken or (self.dpi and with_dpi) else b""


def has_absurd_profile(picture: Picture) -> bool:
    """Whether the picture's profile has more bytes than a file has room for, and is left out of it."""
    return len(picture.profile or b"") > MAX_PROFILE_BYTES


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """The ICC profile of sRGB, some 600 bytes, always the same."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # LittleCMS writes the time of day, and the same picture would not give the same file.
    made[PROFILE_DATE] = b"\x07\xd0\0\x01\0\x01\0\0\0\0\0\0"  # 2000-01-01 00:00:00
    return bytes(made)
