"""Pictures for the demo, drawn here so that they belong to nobody else, and then spoiled as old pictures are."""

from __future__ import annotations

import io
import math
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

OVERSAMPLING = 4
GRAIN = 4.0  # levels, standard deviation


def scene(width: int, height: int, *, seed: int = 1) -> Image.Image:
    """A sharp landscape with a house, RGB."""
    rng = random.Random(seed)  # noqa: S311 - a drawing, not a secret
    big = Image.new("RGB", (width * OVERSAMPLING, height * OVERSAMPLING))
    draw = ImageDraw.Draw(big)
    w, h = big.size
    for y in range(h):
        t = y / h
        draw.line([(0, y), (w, y)], fill=(int(90 + 140 * t), int(140 + 70 * t), int(215 - 20 * t)))
    draw.ellipse(_box(w * rng.uniform(0.68, 0.85), h * 0.2, h * 0.09), fill=(255, 238, 180))
    for layer, shade in enumerate((0.75, 0.55, 0.4)):
        base = h * (0.5 + 0.13 * layer)
        phase = rng.uniform(0, 6)
        ridge = [(x, base + h * 0.06 * math.sin(x / w * (5 + 3 * layer) + phase)) for x in range(0, w + 8, 8)]
        draw.polygon([(0, h), *ridge, (w, h)], fill=(int(70 * shade), int(150 * shade), int(90 * shade)))
    _house(draw, w * 0.22, h * 0.6, h * 0.26)
    for _ in range(26):
        _tree(draw, rng.uniform(0.42, 0.98) * w, rng.uniform(0.66, 0.92) * h, rng.uniform(0.05, 0.1) * h)
    return big.resize((width, height), Image.Resampling.LANCZOS)


def _box(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    return (x - radius, y - radius, x + radius, y + radius)


def _house(draw: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    draw.rectangle((x, y, x + size, y + size * 0.7), fill=(214, 190, 160))
    draw.polygon([(x - size * 0.1, y), (x + size / 2, y - size * 0.5), (x + size * 1.1, y)], fill=(150, 60, 50))
    for row in range(5):
        level = y - size * 0.1 * row
        draw.line([(x + size * 0.1 * row, level), (x + size * (1 - 0.1 * row), level)], fill=(110, 40, 35), width=4)
    for column in (0.12, 0.62):
        window = (x + size * column, y + size * 0.15, x + size * (column + 0.26), y + size * 0.45)
        draw.rectangle(window, fill=(120, 150, 190), outline=(70, 50, 40), width=6)
        middle = (window[0] + window[2]) / 2
        draw.line([(middle, window[1]), (middle, window[3])], fill=(70, 50, 40), width=4)


def _tree(draw: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    draw.rectangle((x - size * 0.06, y - size * 0.3, x + size * 0.06, y), fill=(80, 60, 45))
    for part in range(3):
        top = y - size * (1.1 - 0.25 * part)
        half = size * (0.22 + 0.09 * part)
        draw.polygon(
            [(x, top), (x - half, top + size * 0.45), (x + half, top + size * 0.45)], fill=(30, 95 + 12 * part, 60)
        )


def worn_photo(width: int, height: int, *, seed: int = 1) -> bytes:
    """A small, soft, grainy, over-compressed photo as JPEG; the grain is what tells it from a drawing."""
    soft = np.asarray(scene(width, height, seed=seed).filter(ImageFilter.GaussianBlur(0.7)), np.float32)
    grain = np.random.default_rng(seed).normal(0, GRAIN, (height, width, 1))
    return _bytes(Image.fromarray((soft + grain).round().clip(0, 255).astype(np.uint8)), "JPEG", quality=55)


def emblem(size: int) -> Image.Image:
    """A coloured emblem on a transparent ground with soft edges, RGBA."""
    big = Image.new("RGBA", (size * OVERSAMPLING, size * OVERSAMPLING), (0, 0, 0, 0))
    draw = ImageDraw.Draw(big)
    centre, radius = big.width / 2, big.width * 0.45
    draw.ellipse(_box(centre, centre, radius), fill=(230, 120, 40, 255))
    draw.ellipse(_box(centre, centre, radius * 0.75), fill=(255, 210, 90, 255))
    star = [
        (centre + math.sin(i * math.pi / 5) * r, centre - math.cos(i * math.pi / 5) * r)
        for i, r in enumerate([radius * 0.7, radius * 0.3] * 5)
    ]
    draw.polygon(star, fill=(180, 30, 60, 255))
    return big.resize((size, size), Image.Resampling.LANCZOS)


def transparent_png(size: int) -> bytes:
    """The emblem as a PNG file."""
    return _bytes(emblem(size), "PNG")


def sticker_webp(size: int) -> bytes:
    """The emblem as a sticker."""
    return _bytes(emblem(size), "WEBP", lossless=True)


def _bytes(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()
