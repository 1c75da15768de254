"""Any mode Pillow decodes to, as gray or RGB in sRGB, strip by strip."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

from models.decoding.canvas import are_equal
from models.decoding.printing import offset_profile
from models.decoding.profiles import gray_profile
from models.decoding.tiff import GrayScale, gray_scale
from models.errors import UnsupportedFormat
from models.picture import FOREIGN_ERRORS
from models.pixels import Pixels

OPAQUE_MODES = {"L": "L", "RGB": "RGB", "1": "L", "YCbCr": "RGB", "RGBX": "RGB", "CMYK": "CMYK", "LAB": "LAB"}
ALPHA_MODES = {"LA": "LA", "La": "LA", "RGBA": "RGBA", "RGBa": "RGBA", "PA": "RGBA"}
WIDE_GRAYS = {"I;16", "I;16L", "I;16B", "I;16N"}
FULL = 65535  # the brightest level of 16 bits
ANEW = "save it anew as PNG or JPEG, or as an ordinary TIFF of 8 or 16 bits a colour"
NEUTRAL = 2  # levels; how far a profile for colours may spread red, green and blue of a gray


@dataclass(frozen=True, slots=True)
class Strip:
    """Some rows, converted.

    Args:
        colours: (rows, W) or (rows, W, 3).
        alpha: (rows, W).
        is_neutral: red, green and blue were equal everywhere in a space where that means gray.
    """

    colours: Pixels
    alpha: Pixels | None
    is_neutral: bool = False


class Converter:
    """From the mode and profile of one image to sRGB; a profile that does not work is ignored.

    Grays of 16 bits stay in theirs, see :func:`kept_with_16_bit`.

    Args:
        image: loaded; its mode and its transparency decide.
        profile: ICC, if the file has one.

    Raises:
        UnsupportedFormat: a mode that is not read here.
    """

    def __init__(self, image: Image.Image, profile: bytes | None) -> None:
        self.mode, self.has_alpha = _target(image)
        self.ignored_profile = False
        self._input_mode = self.mode
        self._transform: ImageCms.ImageCmsTransform | None = None
        self._keeps_grays = True
        self._gray_scale = gray_scale(image) if self.mode == "I;16" else GrayScale()
        if profile and self.mode != "I;16":
            self._use(profile)
        if self._transform is None and self.mode in {"LAB", "CMYK"}:
            usual = ImageCms.createProfile("LAB") if self.mode == "LAB" else io.BytesIO(offset_profile())
            self._transform = ImageCms.buildTransform(usual, ImageCms.createProfile("sRGB"), self.mode, "RGB")

    @property
    def channels(self) -> int:
        """1 for gray, else 3."""
        return 1 if self.mode in {"L", "I;16"} else 3

    def strip(self, image: Image.Image) -> Strip:
        """Convert some rows of the image."""
        colours, alpha = _split(image, self.mode, with_alpha=self.has_alpha)
        see_through = None if alpha is None else np.asarray(alpha)
        if self.mode == "I;16":
            return Strip(_full_range(np.asarray(colours).astype(np.uint16), self._gray_scale), see_through)
        before = np.asarray(colours) if self.mode == "RGB" and self._keeps_grays else None
        after = np.asarray(self._converted(colours))
        if self.mode == "L":
            return Strip(after if after.ndim == 2 else after[..., 1], see_through)
        return Strip(after, see_through, is_neutral=are_equal(after if before is None else before))

    def _converted(self, colours: Image.Image) -> Image.Image:
        if self._transform is None:
            return colours if self.mode == "L" else colours.convert("RGB")
        if colours.mode != self._input_mode:
            colours = colours.convert(self._input_mode)
        converted = ImageCms.applyTransform(colours, self._transform)
        return colours if converted is None else converted

    def _use(self, profile: bytes) -> None:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            # Gray pictures often carry a profile for colours; their grays are grays there, too.
            if self.mode == "L" and source.profile.xcolor_space == "RGB ":
                self._input_mode = "RGB"
            srgb = ImageCms.createProfile("sRGB")
            self._transform = ImageCms.buildTransform(source, srgb, self._input_mode, "RGB")
            if self.mode == "RGB":
                self._keeps_grays = self._grays_stay_gray()
        except FOREIGN_ERRORS:
            self._transform, self._input_mode = None, self.mode
            self.ignored_profile = True

    def _grays_stay_gray(self) -> bool:
        ramp = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 256, 3))
        return int(np.ptp(np.asarray(self._converted(ramp)).astype(np.int16), axis=-1).max()) <= NEUTRAL


def _full_range(levels: Pixels, scale: GrayScale) -> Pixels:
    """Levels from 0, black, to 65535."""
    if scale.is_negative:
        levels = scale.white - levels
    if scale.white == FULL:
        return levels
    return ((levels.astype(np.uint32) * FULL + scale.white // 2) // scale.white).astype(np.uint16)


def kept_with_16_bit(profile: bytes, *, is_gray: bool) -> bytes | None:
    """The profile that pixels of 16 bits stay in; None where that is sRGB.

    Args:
        profile: of the file. One for colours becomes one for its grays where the picture is gray, since a PNG of
            grays cannot carry it.
        is_gray: the picture has one channel.

    Raises:
        ValueError: it cannot stay with them.
        Exception: it cannot be read, see ``FOREIGN_ERRORS``.
    """
    space = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space
    if is_gray and space == "RGB ":
        return gray_profile(profile)
    if space != ("GRAY" if is_gray else "RGB "):
        raise ValueError(f"a profile for {space}")
    return profile


def _target(image: Image.Image) -> tuple[str, bool]:
    """The mode colours are taken out in (L, RGB, CMYK, LAB, I;16), and whether there is alpha."""
    see_through = "transparency" in image.info
    if image.mode == "P":
        return "RGB", see_through
    if image.mode in WIDE_GRAYS:
        return "I;16", False
    if image.mode in ALPHA_MODES:
        return ALPHA_MODES[image.mode][:-1], True
    if image.mode not in OPAQUE_MODES:
        raise UnsupportedFormat(f"a {image.format} of the kind {image.mode} is not read here; {ANEW}")
    return OPAQUE_MODES[image.mode], see_through and image.mode in {"1", "L", "RGB"}


def _split(image: Image.Image, mode: str, *, with_alpha: bool) -> tuple[Image.Image, Image.Image | None]:
    if mode == "I;16" or image.mode == mode == "LAB":
        return image, None
    if not with_alpha:
        return (image if image.mode == mode else image.convert(mode)), None
    both = image.convert(mode + "A")
    return both.convert(mode), both.getchannel("A")
