"""What a file says about its picture besides the pixels: how to turn it, when it was taken, how large to print it."""

from __future__ import annotations

import math

from PIL import Image

from models.picture import DATE, DATE_TAKEN, EXIF_BLOCK, FOREIGN_ERRORS, ORIENTATION

DATE_LENGTH = len("2024:05:06 07:08:09")


def exif_orientation(image: Image.Image) -> int:
    """EXIF or XMP orientation 1 to 8. A bad tag does not lose the picture."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except FOREIGN_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def date_taken(image: Image.Image) -> str | None:
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


def dpi(image: Image.Image, *, turned: bool) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except FOREIGN_ERRORS:
        return None
    if not all(math.isfinite(value) and 1 <= value <= 65_535 for value in (across, down)):
        return None
    return (down, across) if turned else (across, down)
