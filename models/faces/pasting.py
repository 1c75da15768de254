"""Restored faces put into the enlarged picture, as strongly as one likes, and taken out again.

A face is compared once with what the picture shows in its place (``models.faces.matching``). What is left is a layer:
a rectangle of differences that fade to nothing before its edge. Added whole it gives the restored face, added in part
anything between, not at all the picture byte for byte; so another strength or another choice of faces costs an
addition and no network.

facexlib's helper, which GFPGAN uses, pastes the crop itself, warped with an affine that is half a pixel off for
enlarged pictures, with the crop's colours, over whatever was there; what is later wins. Here a crop that was not
changed has a layer of nothing, and faces that overlap share their pixels in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.alpha import before_gray
from models.colour_lock import is_colourless
from models.engine.tiling import Region
from models.errors import OptionsError
from models.faces.alignment import TEMPLATE_SIDE, Affine, affine_after_scaling, scale_of
from models.faces.matching import PLAUSIBLE, Matched, luma, match
from models.faces.regions import (
    WINDOW,
    CropView,
    Mask,
    around,
    claim,
    crop_mask,
    crop_region,
    face_region,
    freedom,
    grouped,
    share_inside,
    share_seen,
    to_crop,
)
from models.faces.threads import side_by_side, strips_of
from models.pixels import Pixels
from models.planes import is_opaque

Float32 = NDArray[np.float32]
Int16 = NDArray[np.int16]

UNITS = 128  # per level of 8 bits, in which a layer's differences are kept
FULL_STRENGTH = 100
FINER = 1.25  # pixels of the picture per pixel of the crop: from here on it has detail that no crop can show
QUIET_SHARE, QUIET_DEVIATIONS = 35, 0.4538  # percent of a normal distribution lie within so many deviations
# Pixels of the crop per pixel of the picture: there and below, one pixel of so many a side shows all that changes.
SLOW = ((2 / 7, 2), (1 / 7, 4))
# Of a picture, pasted at a time. Of more pixels (98,304) OpenCV makes parts for its threads while ours are all at work.
PASTED_ROWS, PASTED_COLUMNS = 128, 704
FAINTEST = 0.25  # opacity; what is fainter is changed less and less, for little of it was seen
PROBE = 5  # px; how far apart the samples lie that fine detail is judged by


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceLayer:
    """What restoring a face changes in one picture.

    Attributes:
        affine: (2, 3) from the picture to the upright 512 px crop.
        region: of the picture; holds all of the face that lies in it.
        mask: (h, w) uint8; how much of the restored face is to be seen where no other face is.
        change: (h, w) or (h, w, 3) int16, mask applied: added at full strength, in 1/128 of a level of 8 bits.
        step: pixels of the picture per pixel of ``mask`` and ``change``, 1, 2 or 4. A face that is so large that its
            crop has a pixel for many of the picture's changes slowly enough.
    """

    affine: Affine
    region: Region
    mask: Mask
    change: Int16
    step: int = 1

    def whole_mask(self) -> Mask:
        """The mask, a number for each pixel of the region."""
        if self.step == 1:
            return self.mask
        return np.asarray(_enlarged(self.mask, self.step)[: self.region.height, : self.region.width], np.uint8)

    def part(self, rows: slice, columns: slice) -> Int16 | Float32:
        """The change of a part of the region, in 1/128 of a level, a number for each pixel."""
        if self.step == 1:
            return self.change[rows, columns]
        step = self.step  # and a sample more on every side, to interpolate with
        top, left = max(0, rows.start // step - 1), max(0, columns.start // step - 1)
        near = self.change[top : -(-rows.stop // step) + 1, left : -(-columns.stop // step) + 1]
        enlarged = _enlarged(near.astype(np.float32), step)[rows.start - top * step :, columns.start - left * step :]
        return np.asarray(enlarged[: rows.stop - rows.start, : columns.stop - columns.start], np.float32)


class Shown:
    """Between which columns a layer shows anything, row by row. A fifth of a rectangle lies around its oval.

    Args:
        layer: whose step is not 1; else this takes as long as it spares.
    """

    def __init__(self, layer: FaceLayer) -> None:
        shown = layer.mask > 0
        rows, width = shown.any(axis=1), shown.shape[1]
        self._starts = np.where(rows, shown.argmax(axis=1), width)
        self._stops = np.where(rows, width - shown[:, ::-1].argmax(axis=1), 0)
        self._step, self._width = layer.step, layer.region.width

    def columns(self, rows: slice) -> slice:
        """Of some rows of the region; nothing is to be seen beside these columns. Empty where nothing is at all."""
        step = self._step  # and a sample more on every side, for what is between two of them is interpolated
        near = slice(max(0, rows.start // step - 1), -(-rows.stop // step) + 1)
        first, last = int(self._starts[near].min()), int(self._stops[near].max())
        return slice(max(0, first - 1) * step, min(self._width, (last + 1) * step)) if last else slice(0, 0)


def layer_bytes(samples: int, itemsize: int) -> int:
    """Bytes that a pixel of a layer's region takes as long as its picture is worked on.

    The mask and the differences; what several layers add up to; and the pixels as they were, which the guard keeps.

    Args:
        samples: per pixel of the picture.
        itemsize: bytes of one.
    """
    difference = np.dtype(np.int16).itemsize * samples
    return 1 + 2 * difference + itemsize * samples


def pasting_bytes(samples: int) -> int:
    """Bytes per pixel of a layer's region that are taken for a moment: three maps of shares, and what they leave."""
    return np.dtype(np.float32).itemsize * (3 + samples)


def face_layer(
    picture: Pixels,
    restored: Float32,
    affine: Affine,
    *,
    labels: NDArray[np.uint8] | None = None,
    alpha: Pixels | None = None,
) -> FaceLayer:
    """Compare a restored face with a picture.

    The restorer has seen what is transparent before a middle gray, so it is compared with the picture before the same,
    and what it changes there is as much more in the picture itself as that shows less. Where the outline of what is
    opaque runs through the face, the gray behind it says nothing: beside it nothing is changed.

    Args:
        picture: (H, W) or (H, W, 3), uint8 or uint16: the enlarged picture without restored faces; left untouched.
        restored: (512, 512, 3) float32 RGB, finite, in levels of 8 bits.
        affine: (2, 3) from ``picture``, enlarged as it is, to the crop.
        labels: (512, 512) uint8, BiSeNet's class of each pixel of the crop; None where no parser is there.
        alpha: (H, W) of the picture's type; None: all of it is opaque.

    Raises:
        ValueError: the face lies beside the picture, or ``restored`` is not of that shape.
    """
    side = (TEMPLATE_SIDE, TEMPLATE_SIDE)
    if restored.shape != (*side, 3) or (labels is not None and labels.shape != side):
        raise ValueError(f"restored faces are 512x512 in colour, not {restored.shape}")
    size_wh = (picture.shape[1], picture.shape[0])
    place = Place.of(affine, size_wh)
    whole = Region(0, 0, picture.shape[0], picture.shape[1])
    step = max((step for scale, step in SLOW if scale_of(affine) <= scale), default=1)
    there, opacity = _seen_part(picture, alpha, place.window, step)
    place = place.reduced(step)
    mask, change = _compared(there, opacity, restored, place, labels)
    region = place.region.scaled(step).intersection(whole)
    assert region is not None  # noqa: S101 - for the type checker; Place.of has looked
    return FaceLayer(affine=affine, region=region, mask=mask, change=change, step=step)


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a face lies in a picture.

    Args:
        affine: (2, 3) from the picture to the crop.
        size_wh: of the picture.
        window: all that the crop's window shows of it.
        region: all of the face.
    """

    affine: Affine
    size_wh: tuple[int, int]
    window: Region
    region: Region

    @classmethod
    def of(cls, affine: Affine, size_wh: tuple[int, int]) -> Place:
        """Look it up; ValueError where the face lies beside the picture."""
        region, window = face_region(affine, size_wh), crop_region(affine, size_wh)
        if region is None or window is None:
            raise ValueError(f"a face with the affine {affine.tolist()} lies beside a picture of {size_wh}")
        return cls(affine, size_wh, window, region)

    def reduced(self, step: int) -> Place:
        """The same in the picture so many times smaller, where a part of a pixel is a pixel."""
        if step == 1:
            return self
        width, height = self.size_wh
        return Place(
            affine=affine_after_scaling(self.affine, (1 / step, 1 / step)),
            size_wh=(-(-width // step), -(-height // step)),
            window=_reduced_region(self.window, step),
            region=_reduced_region(self.region, step),
        )


def _compared(
    there: Pixels, opacity: Pixels | None, restored: Float32, place: Place, labels: NDArray[np.uint8] | None
) -> tuple[Mask, Int16]:
    """Mask and change of a layer, from the pixels of what the crop's window shows, and how opaque they are."""
    affine, size_wh, window, region = place.affine, place.size_wh, place.window, place.region
    colourless = there.ndim == 3 and is_colourless(there)
    if colourless:
        there = np.ascontiguousarray(there[..., 0])
    plain = to_crop(_levels(there), affine, window)
    inside = share_inside(affine, size_wh)
    crop, new = crop_mask(inside, labels), restored[WINDOW.slices]
    if opacity is not None:
        opaque = to_crop(_levels(opacity), affine, window) * np.float32(1 / 255)
        seen = share_seen(opaque, scale_of(affine)) * np.clip(opaque / FAINTEST, 0, 1)
        crop = np.asarray(np.rint(crop * seen), np.uint8)
        inside = seen if inside is None else np.asarray(inside * seen, np.float32)
    if inside is not None:  # what a restorer made of the filling beside the picture says nothing
        old = plain if plain.ndim == 3 else cv2.merge([plain] * 3)
        new = np.asarray(old + (new - old) * cv2.merge([inside] * 3), np.float32)
    matched = match(new, plain, crop)
    mask = np.asarray(CropView(crop, affine)(region), np.uint8)
    views = Views.of(matched, plain, affine)
    inner = region.seen_from(window).slices
    change = views.change(there[inner], mask, region, None if opacity is None else opacity[inner])
    if colourless:
        change = np.repeat(change[..., None], 3, axis=2)
    return mask, change


def _reduced_region(region: Region, step: int) -> Region:
    """In the picture so many times smaller: all pixels that have something of the region."""
    left, top = region.x // step, region.y // step
    right, bottom = -(-(region.x + region.width) // step), -(-(region.y + region.height) // step)
    return Region(top, left, bottom - top, right - left)


def _seen_part(
    picture: Pixels, alpha: Pixels | None, region: Region, step: int
) -> tuple[Pixels, NDArray[np.uint8 | np.uint16] | None]:
    """A region of the picture so many times smaller, before a middle gray, and its opacity; None where that is full."""
    whole = region if step == 1 else _reduced_region(region, step).scaled(step)
    part, opacity = picture[whole.slices], None if alpha is None else alpha[whole.slices]
    if opacity is None or is_opaque(opacity):
        return _reduced_part(part, whole, step), None
    return _reduced_part(before_gray(part, opacity), whole, step), _reduced_part(opacity, whole, step)


def _reduced_part(part: Pixels, whole: Region, step: int) -> Pixels:
    """The pixels of a region made so many times smaller, a power of two; the last ones fill what an edge lacks."""
    if step == 1:
        return part
    below, beside = whole.height - part.shape[0], whole.width - part.shape[1]
    if below or beside:
        part = np.asarray(cv2.copyMakeBorder(part, 0, below, 0, beside, cv2.BORDER_REPLICATE), part.dtype)
    while part.shape[0] > whole.height // step:  # means of four pixels take a third of the time of means of sixteen
        half_wh = part.shape[1] // 2, part.shape[0] // 2
        part = np.asarray(cv2.resize(part, half_wh, interpolation=cv2.INTER_AREA), part.dtype)
    return part


def _enlarged(values: NDArray[np.uint8 | np.float32], step: int) -> NDArray[np.uint8 | np.float32]:
    size_wh = (values.shape[1] * step, values.shape[0] * step)
    return np.asarray(cv2.resize(values, size_wh, interpolation=cv2.INTER_LINEAR), values.dtype)


def pasted(
    picture: Pixels, layers: Sequence[FaceLayer], strengths: Sequence[float], *, untouched: Sequence[Affine] = ()
) -> Pixels:
    """A new picture with the faces in it; see :func:`paste`."""
    copy = picture.copy()
    paste(copy, layers, strengths, untouched=untouched)
    return copy


def paste(
    picture: Pixels, layers: Sequence[FaceLayer], strengths: Sequence[float], *, untouched: Sequence[Affine] = ()
) -> None:
    """Put faces into the picture that their layers were made for, in place.

    With every step of a strength each sample goes farther from the picture or stays; none comes back. What belongs to a
    face of strength 0 or to one of ``untouched`` is not changed by the others either. The order of the layers does
    not matter.

    Args:
        picture: (H, W) or (H, W, 3), uint8 or uint16; changed.
        layers: of :func:`face_layer`.
        strengths: one for each layer, 0 to 100.
        untouched: affines of further faces, from the picture to their crops.

    Raises:
        OptionsError: a strength is outside 0 to 100.
        ValueError: not as many strengths as layers.
    """
    shown, left = [], list(untouched)
    for layer, strength in zip(layers, strengths, strict=True):
        expect_strength(strength)
        if strength:
            shown.append((layer, strength))
        else:
            left.append(layer.affine)
    for group in grouped([layer.region for layer, _ in shown]):
        members = sorted((shown[index] for index in group), key=lambda member: member[0].affine.tobytes())
        _paste_group(picture, [layer for layer, _ in members], [strength for _, strength in members], left)


def expect_strength(strength: float) -> None:
    """Refuse what is no strength of a face; OptionsError names it."""
    if not 0 <= strength <= FULL_STRENGTH:
        raise OptionsError(f"the strength of a face is from 0 to {FULL_STRENGTH}, not {strength!r}")


def _paste_group(
    picture: Pixels, layers: Sequence[FaceLayer], strengths: Sequence[float], left: Sequence[Affine]
) -> None:
    """Faces that may overlap. Their changes are added up as whole numbers, so that the order cannot matter."""
    depth = cv2.CV_8U if picture.dtype == np.uint8 else cv2.CV_16U
    level = float(np.iinfo(picture.dtype).max) / 255
    whole, strongest = around(*(layer.region for layer in layers)), max(strengths)
    total: Int16 | None = None
    alone = _share(layers[0], (), left) if len(layers) == 1 else None
    if len(layers) > 1 or alone is not None:
        # Relative to the strongest, so that the same sum is added, more or less of it, when all strengths are changed.
        total = np.zeros((*whole.shape_hw, *picture.shape[2:]), np.int16)
        for layer, strength in zip(layers, strengths, strict=True):
            part = layer.part(slice(0, layer.region.height), slice(0, layer.region.width)).astype(np.float32)
            share = _share(layer, [other for other in layers if other is not layer], left) if alone is None else alone
            if share is not None:
                part *= share if part.ndim == 2 else share[..., None]
            part *= np.float32(strength / strongest)
            there = total[layer.region.seen_from(whole).slices]
            there[...] = cv2.add(there, part, dtype=cv2.CV_16S)
    factor = level / UNITS * strongest / FULL_STRENGTH
    block = picture[whole.slices]
    shown = Shown(layers[0]) if total is None and layers[0].step > 1 else None

    def add(rows: slice) -> None:
        across = slice(0, whole.width) if shown is None else shown.columns(rows)
        for first in range(across.start, across.stop, PASTED_COLUMNS):
            columns = slice(first, min(first + PASTED_COLUMNS, across.stop))
            there = block[rows, columns]
            change = layers[0].part(rows, columns) if total is None else total[rows, columns]
            cv2.addWeighted(there, 1.0, change, factor, 0.0, dst=there, dtype=depth)

    side_by_side(add, strips_of(whole.height, PASTED_ROWS))


def _share(layer: FaceLayer, others: Sequence[FaceLayer], left: Sequence[Affine]) -> Float32 | None:
    """How much of a layer's change is to be seen, (h, w); None: all of it, for it meets no other face."""
    region = layer.region
    share: Float32 | None = None
    meeting = [(other, common) for other in others if (common := other.region.intersection(region)) is not None]
    if meeting:
        own = claim(layer.whole_mask(), layer.affine, region)
        total = own.copy()
        for other, common in meeting:
            theirs = claim(other.whole_mask()[common.seen_from(other.region).slices], other.affine, common)
            total[common.seen_from(region).slices] += theirs
        share = np.asarray(own / np.maximum(total, np.float32(1e-6)), np.float32)
    size_wh = (region.x + region.width, region.y + region.height)
    for affine in left:
        theirs_region = face_region(affine, size_wh)
        if theirs_region is None or theirs_region.intersection(region) is None:
            continue
        free = freedom(affine, region)
        share = free if share is None else np.asarray(share * free, np.float32)
    return share


@dataclass(frozen=True, slots=True)
class Views:
    """A matched face as it lies in the picture.

    Args:
        changed: what is to be added, one channel or three, and in a last channel where the restored face has its edges
            elsewhere; OpenCV takes half the time for four channels that it takes for three.
        coarse: brightness of the picture as far as the crop holds it; None where the crop holds all of it.
    """

    changed: CropView
    coarse: CropView | None

    @classmethod
    def of(cls, matched: Matched, plain: Float32, affine: Affine) -> Views:
        """Of the crop's window."""
        has_finer = scale_of(affine) * FINER < 1 and bool(matched.moved.any())
        return cls(
            CropView(_with_last(matched.difference, matched.moved), affine, crisp=True),
            CropView(luma(plain), affine, crisp=True) if has_finer else None,
        )

    def change(self, there: Pixels, mask: Mask, region: Region, opacity: Pixels | None = None) -> Int16:
        """The change of a layer, some rows at a time, which stay in a processor's cache.

        Args:
            there: (h, w) or (h, w, 3), the picture's pixels of the region.
            mask: (h, w).
            region: of the picture.
            opacity: (h, w), in the levels of ``there``, which is seen before a middle gray; None: full.
        """
        change = np.empty(there.shape, np.int16)
        strips = strips_of(region.height)
        middle = strips[len(strips) // 2]
        most = self._most_grain(there[middle], self._region_of(middle, region))

        def fill(rows: slice) -> None:
            strip = self._region_of(rows, region)
            changed = self.changed(strip)
            levels = _without_last(changed)
            if self.coarse is not None:
                old = self._fine(self.coarse, there[rows], strip)
                old -= np.clip(old, -most, most)
                old *= cv2.extractChannel(changed, changed.shape[2] - 1)
                levels -= old if levels.ndim == 2 else cv2.merge([old, old, old])
            if opacity is not None:
                more = _magnified(opacity[rows])
                levels *= more if levels.ndim == 2 else cv2.merge([more, more, more])
            share = mask[rows]
            shares = share if levels.ndim == 2 else cv2.merge([share, share, share])
            cv2.multiply(levels, shares, scale=UNITS / 255, dst=change[rows], dtype=cv2.CV_16S)

        side_by_side(fill, strips)
        return change

    @staticmethod
    def _region_of(rows: slice, region: Region) -> Region:
        return Region(region.y + rows.start, region.x, rows.stop - rows.start, region.width)

    def _most_grain(self, there: Pixels, strip: Region) -> float:
        """Level up to which fine detail is grain and stays, judged by the middle of the face.

        What is beyond is an edge. Edges stay where the restored face has them, too, and make it as crisp as the picture
        around it; but one that has moved would be seen twice.
        """
        if self.coarse is None:
            return 0.0
        fine = self._fine(self.coarse, there, strip)
        quiet = float(np.percentile(np.abs(fine[::PROBE, ::PROBE]), QUIET_SHARE)) / QUIET_DEVIATIONS
        return max(1.0, PLAUSIBLE * quiet)

    @staticmethod
    def _fine(coarse: CropView, there: Pixels, region: Region) -> Float32:
        """(h, w) levels: brightness of the picture's pixels that is finer than the crop."""
        bright = there if there.ndim == 2 else cv2.cvtColor(there, cv2.COLOR_RGB2GRAY)
        level = 255 / float(np.iinfo(there.dtype).max)
        fine = cv2.addWeighted(bright, level, coarse(region), -1, 0, dtype=cv2.CV_32F)
        return np.asarray(fine, np.float32)


def _magnified(opacity: Pixels) -> Float32:
    """How many times what was changed before a gray shows in the colour itself: none where nothing of it is seen."""
    share = opacity * np.float32(1 / np.iinfo(opacity.dtype).max)
    return np.asarray(np.minimum(share / FAINTEST**2, 1 / np.maximum(share, FAINTEST)), np.float32)


def _with_last(levels: Float32, last: Float32) -> Float32:
    """One channel more."""
    return np.asarray(cv2.merge([*cv2.split(levels), last]), np.float32)


def _without_last(channels: NDArray[np.uint8 | np.float32]) -> Float32:
    """(h, w, 2) to (h, w), (h, w, 4) to (h, w, 3)."""
    if channels.shape[2] == 2:
        return np.asarray(cv2.extractChannel(channels, 0), np.float32)
    return np.asarray(cv2.cvtColor(channels, cv2.COLOR_BGRA2BGR), np.float32)


def _levels(pixels: Pixels) -> NDArray[np.uint8 | np.float32]:
    """In levels of 8 bits; uint8 stays what it is."""
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, np.uint8)
    return np.asarray(pixels * np.float32(1 / 257), np.float32)
