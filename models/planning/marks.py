"""What tells photographs, drawings and text apart: shares and amounts that can be named, from two small views."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.planning.views import Mask, UInt8, View, chroma

FLAT, ALMOST_FLAT = 2, 8  # levels between the darkest and brightest of 3x3 pixels
STRONG = 48  # levels; an edge, not a texture
SQUARE = np.ones((3, 3), np.uint8)
PEN = np.ones((5, 5), np.uint8)  # as wide as the lines of a drawing

GROUND_SHARE = 0.12  # of the picture; a colour that covers more may be what the rest lies on
GROUND_NEAR = 14  # levels
LEAST_SUBJECT = 0.02  # of the picture; below, the ground is the subject

TEXT_BLOCK = 16  # px
TEXT_CONTRAST = 56  # levels between ink and paper
NEAR = 0.25  # of the contrast; closer to ink or paper than this counts as one of them


def marks(thumb: View, page: View) -> dict[str, float]:
    """All marks by name, of what lies before the ground.

    Args:
        thumb: of up to 512 px.
        page: of up to 1024 px.
    """
    ranges = local_range(thumb.rgb)
    subject = before_ground(thumb, ranges)
    return {
        "ground": 1 - float(subject.sum()) / max(1, int(thumb.visible.sum())),
        **texture(ranges, subject),
        **smoothed(thumb, subject),
        **lines(thumb, subject),
        **palette(thumb, subject),
        **colours(thumb, subject),
        "text": text_share(page),
    }


def local_range(rgb: UInt8) -> UInt8:
    """Largest difference within 3x3 pixels, of the channel where it is largest."""
    return np.asarray((cv2.dilate(rgb, SQUARE) - cv2.erode(rgb, SQUARE)).max(axis=2), np.uint8)


def before_ground(thumb: View, ranges: UInt8) -> Mask:
    """What is visible and not a plain ground, which a photographed thing and a drawn one may lie on alike."""
    inside = cv2.erode(thumb.visible.astype(np.uint8), SQUARE, borderType=cv2.BORDER_REPLICATE).astype(bool)
    seen = next((mask for mask in (inside, thumb.visible) if mask.any()), ~thumb.visible)
    plain = seen & (ranges <= ALMOST_FLAT)
    bins = _bins(thumb.rgb)
    counts = np.bincount(bins[plain], minlength=4096)
    if counts.max(initial=0) < GROUND_SHARE * seen.sum():
        return seen
    colour = thumb.rgb[plain & (bins == counts.argmax())].mean(axis=0)
    near = cv2.inRange(thumb.rgb, colour - GROUND_NEAR, colour + GROUND_NEAR) > 0
    ground = cv2.dilate((near & plain).astype(np.uint8), PEN).astype(bool)
    subject = seen & ~ground
    return np.asarray(subject if subject.sum() >= LEAST_SUBJECT * seen.sum() else seen)


def texture(ranges: UInt8, subject: Mask) -> dict[str, float]:
    """How much is flat, textured or an edge, and how unevenly contrast is spread."""
    values = ranges[subject]
    strong = values >= STRONG
    middle, upper, most = np.quantile(values, (0.5, 0.75, 0.95))
    squares = values.astype(np.float32)
    return {
        "flat": float((values <= FLAT).mean()),
        "almost_flat": float((values <= ALMOST_FLAT).mean()),
        "textured": float(((values > ALMOST_FLAT) & ~strong).mean()),
        "strong": float(strong.mean()),
        "even": float(middle / (most + 1)),
        "even_upper": float(upper / (most + 1)),
        "dense": float(squares.mean() / (np.sqrt((squares**2).mean()) + 1)),
    }


def smoothed(thumb: View, subject: Mask) -> dict[str, float]:
    """The same after a filter that keeps edges and takes away what JPEG leaves around them."""
    ranges = local_range(np.asarray(cv2.medianBlur(cv2.bilateralFilter(thumb.rgb, 5, 24, 2), 3), np.uint8))
    values = ranges[subject]
    flat = cv2.erode((ranges <= ALMOST_FLAT).astype(np.uint8), PEN)[subject]
    return {
        "smooth_flat": float((values <= FLAT + 1).mean()),
        "smooth_almost_flat": float((values <= ALMOST_FLAT).mean()),
        "smooth_textured": float(((values > ALMOST_FLAT) & (values < STRONG)).mean()),
        "smooth_areas": float(flat.mean()),
        "smooth_even": float(np.quantile(values, 0.5) / (np.quantile(values, 0.95) + 1)),
    }


def lines(thumb: View, subject: Mask) -> dict[str, float]:
    """Edges beside flat areas, and dark lines of a pen's width against bright ones."""
    ranges = local_range(thumb.rgb)
    strong = (ranges >= STRONG) & subject
    flat = cv2.erode((ranges <= ALMOST_FLAT).astype(np.uint8), SQUARE)
    near = cv2.dilate(flat, np.ones((9, 9), np.uint8)).astype(bool)
    dark = cv2.morphologyEx(thumb.luma, cv2.MORPH_BLACKHAT, PEN)[subject].astype(np.float32)
    bright = cv2.morphologyEx(thumb.luma, cv2.MORPH_TOPHAT, PEN)[subject].astype(np.float32)
    return {
        "edges_by_flats": float(near[strong].mean()) if strong.any() else 0.0,
        "ink": float((dark >= STRONG).mean()),
        "ink_over_light": float(dark.mean() / (dark.mean() + bright.mean() + 1)),
    }


def palette(thumb: View, subject: Mask) -> dict[str, float]:
    """How few colours cover most of the subject: of 4096, and of all."""
    counts = np.bincount(_bins(thumb.rgb)[subject], minlength=4096)
    shares = np.sort(counts / counts.sum())[::-1]
    present = shares[shares > 0]
    exact = thumb.rgb[subject].astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    often = np.sort(np.unique(exact, return_counts=True)[1])[::-1]
    return {
        "top_colour": float(shares[0]),
        "top_8_colours": float(shares[:8].sum()),
        "exact_8_colours": float(often[:8].sum() / len(exact)),
        "colour_bits": float(-(present * np.log2(present)).sum()),
    }


def colours(thumb: View, subject: Mask) -> dict[str, float]:
    """How saturated, and how much is as white or black as it can be."""
    brightest, darkest = chroma(thumb.rgb[subject])
    difference = brightest - darkest
    return {
        "vivid": float((difference > 128).mean()),
        "gray": float((difference <= 8).mean()),
        "white": float((darkest >= 250).mean()),
        "black": float((brightest <= 5).mean()),
    }


def text_share(page: View) -> float:
    """Share of the blocks that are ink on paper, with strokes crossing most rows, beside others like them."""
    rows, columns = page.luma.shape[0] // TEXT_BLOCK, page.luma.shape[1] // TEXT_BLOCK
    if not rows or not columns:
        return 0.0
    seen = _in_blocks(page.visible.astype(np.uint8), rows, columns).all(axis=(2, 3))
    texty = _like_text(_in_blocks(page.luma, rows, columns)) & seen
    beside = cv2.filter2D(texty.astype(np.float32), cv2.CV_32F, np.ones((1, 3), np.float32))
    return float((texty & (beside >= 2)).sum() / max(1, seen.sum()))


def _like_text(blocks: UInt8) -> Mask:
    """For (R, C, B, B) luma: dark and bright with little between, one of them prevailing, many changes along rows."""
    low, high = blocks.min(axis=(2, 3), keepdims=True), blocks.max(axis=(2, 3), keepdims=True)
    contrast = (high - low).astype(np.float32)
    ink = (blocks < low + NEAR * contrast).mean(axis=(2, 3))
    paper = (blocks > high - NEAR * contrast).mean(axis=(2, 3))
    dark = blocks < low + 0.5 * contrast
    changes = (dark[..., 1:] != dark[..., :-1]).mean(axis=(2, 3)) * (TEXT_BLOCK - 1)
    bilevel = (ink + paper > 0.6) & (np.maximum(ink, paper) > 0.4)
    return np.asarray((contrast[..., 0, 0] > TEXT_CONTRAST) & bilevel & (changes > 1.5))


def _in_blocks(values: UInt8, rows: int, columns: int) -> UInt8:
    cut = values[: rows * TEXT_BLOCK, : columns * TEXT_BLOCK]
    return cut.reshape(rows, TEXT_BLOCK, columns, TEXT_BLOCK).swapaxes(1, 2)


def _bins(rgb: UInt8) -> NDArray[np.int32]:
    """(H, W): each colour as one of 4096."""
    few = (rgb >> 4).astype(np.int32)
    return np.asarray(few[..., 0] << 8 | few[..., 1] << 4 | few[..., 2], np.int32)
