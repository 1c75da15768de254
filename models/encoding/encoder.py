"""A picture to the first of its possible files that fits a number of bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property

import cv2
import numpy as np

from models.alpha import premultiply, to_uint16, unpremultiply
from models.encoding.description import Description
from models.encoding.formats import Attempt, Encoded, FileFormat, attempts, losses
from models.encoding.jpeg import write_jpeg
from models.encoding.png import write_png
from models.encoding.recipes import recipe_packet
from models.encoding.strips import BAND_ROWS, sample
from models.encoding.webp import write_webp
from models.errors import OptionsError, ResultTooLarge
from models.options import OutputFormat
from models.picture import Picture
from models.pixels import Pixels
from models.stopping import never

# An estimate this many times the limit is believed, one below is tried. Going by a sample of the rows alone, which on
# photos and pages of text was 0.95 to 1.09 of the size, and after a whole file of the same format and size has shown
# by how much the sample is wrong.
DOUBT, LEARNED_DOUBT = 1.1, 1.02


def encode(
    picture: Picture,
    wanted: OutputFormat = "auto",
    *,
    kind: str | None = None,
    max_bytes: int | None = None,
    recipe: Mapping[str, object] | None = None,
    threads: int = 1,
    should_stop: Callable[[], bool] = never,
) -> Encoded:
    """Write a picture.

    Args:
        picture: what to write; its ``lossless`` is about the file it came from.
        wanted: format, or ``auto``.
        kind: what it shows, such as ``photo``, ``drawing`` or ``text``; ``auto`` goes by it. None: not known.
        max_bytes: largest file that will do; None: any. A file above is written with less quality, then in another
            format (``auto`` only), then with fewer pixels, down to a quarter of them.
        recipe: how the picture came to be, for :func:`read_recipe`; anything JSON can hold.
        threads: that may work at once. The file does not depend on them.
        should_stop: asked before each strip of rows, and ten times a second.

    Returns:
        The first of :func:`attempts` that fits. Its notices say what was given up: ``format_changed``,
        ``quality_reduced``, ``scale_reduced``, and ``depth_reduced`` and ``alpha_flattened`` where the format has no
        room for 16 bits or transparency.

    Raises:
        ResultTooLarge: nothing fits; the message has the smallest size reached.
        OptionsError: a recipe that cannot be written, or no threads.
        RestorationStopped: ``should_stop`` said so.
    """
    if threads < 1:
        raise OptionsError(f"threads must be 1 or more, not {threads}")
    writer = _Writer(picture, None if recipe is None else recipe_packet(recipe), threads, should_stop)
    ways = list(attempts(picture, picture.size_wh, wanted, limited=max_bytes is not None, kind=kind))
    width, height = picture.size_wh
    if not ways:
        raise ResultTooLarge(f"a picture of {width}x{height} has longer sides than {wanted} can hold")
    if max_bytes is None:
        return writer.write(ways[0])
    fitting, smallest = _first_that_fits(writer, ways, max_bytes)
    if fitting is None:
        raise ResultTooLarge(
            f"the result of {width}x{height} takes {smallest:,} bytes at the least, the limit is {max_bytes:,}"
        )
    return fitting


def _first_that_fits(writer: _Writer, ways: list[Attempt], max_bytes: int) -> tuple[Encoded | None, int]:
    """The file, if there is one, and the smallest size that was reached.

    Ways that an estimate rules out are not tried, so that a large picture is written about twice at most.
    """
    sizes: list[int] = []
    for way in ways:
        # The last is always tried: only a whole file proves that nothing fits.
        if way is not ways[-1] and writer.is_hopeless(way, max_bytes):
            continue
        encoded = writer.write(way)
        sizes.append(len(encoded.data))
        if sizes[-1] <= max_bytes:
            return encoded, sizes[-1]
        writer.learn(way, sizes[-1])
    return None, min(sizes)


class _Writer:
    """Writes one picture in several ways, and learns how large the files get."""

    def __init__(
        self, picture: Picture, packet: bytes | None, threads: int, should_stop: Callable[[], bool] = never
    ) -> None:
        self._picture, self._packet, self._threads, self._should_stop = picture, packet, threads, should_stop
        self._estimates: dict[Attempt, float] = {}
        self._errors: dict[tuple[FileFormat, tuple[int, int]], float] = {}  # whole file over estimate

    @cached_property
    def _sample(self) -> Picture:
        return sample(self._picture)

    def write(self, way: Attempt) -> Encoded:
        """The whole picture."""
        data = self._data(resized(self._picture, way.size_wh), way, self._packet)
        notices = (*way.notices, *losses(self._picture, way.format))
        return Encoded(data, way.format, way.size_wh, way.quality, notices)

    def is_hopeless(self, way: Attempt, max_bytes: int) -> bool:
        """Whether the file would be too large for sure; never so of a picture that is quickly tried."""
        if self._picture.pixels.nbytes <= max_bytes or self._sample is self._picture:
            return False
        error = self._errors.get((way.format, way.size_wh))
        return self._estimate(way) * (error or 1.0) > max_bytes * (LEARNED_DOUBT if error else DOUBT)

    def learn(self, way: Attempt, size: int) -> None:
        """How large the file really is."""
        if self._sample is not self._picture:
            self._errors[way.format, way.size_wh] = size / self._estimate(way)

    def _estimate(self, way: Attempt) -> float:
        """Bytes of the whole file, going by a sample of its rows."""
        if way not in self._estimates:
            part = self._sample_at(way.size_wh)
            share = np.prod(part.size_wh) / np.prod(way.size_wh)
            self._estimates[way] = float(len(self._data(part, way, None)) / share)
        return self._estimates[way]

    def _sample_at(self, size_wh: tuple[int, int]) -> Picture:
        """A sample of the picture at another size, whose bands are still whole blocks: so many rows become 16."""
        band_rows = round(BAND_ROWS * self._picture.size_wh[1] / size_wh[1])
        part = sample(self._picture, band_rows)
        if part is self._picture:
            return resized(part, size_wh)
        return resized(part, (size_wh[0], part.size_wh[1] // band_rows * BAND_ROWS))

    def _data(self, picture: Picture, way: Attempt, packet: bytes | None) -> bytes:
        description = Description.of(picture, packet, has_srgb_mark=way.format == "png")
        if way.format == "png":
            return write_png(picture, description, self._threads, self._should_stop)
        if way.quality is None:
            raise OptionsError(f"{way.format} needs a quality")
        if way.format == "jpeg":
            return write_jpeg(picture, way.quality, description, self._threads, self._should_stop)
        return write_webp(picture, way.quality, description, self._should_stop)


def resized(picture: Picture, size_wh: tuple[int, int]) -> Picture:
    """The same picture with fewer pixels, each the mean of what it covers; itself where the size is its own."""
    if size_wh == picture.size_wh:
        return picture
    if picture.alpha is None:
        return replace(picture, pixels=_shrunk(picture.pixels, size_wh))
    # Premultiplied, or the colour under what is transparent would bleed into its surroundings.
    seen = np.asarray(_shrunk(premultiply(picture.pixels, picture.alpha), size_wh), np.uint16)
    alpha = _shrunk(picture.alpha, size_wh)
    return replace(picture, pixels=unpremultiply(seen, to_uint16(alpha), picture.pixels.dtype), alpha=alpha)


def _shrunk(pixels: Pixels, size_wh: tuple[int, int]) -> Pixels:
    return np.asarray(cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA), pixels.dtype)
