"""Patterns and kinds of noise that no network was trained on, and people send all the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16


def patterns(side: int) -> dict[str, NDArray[np.uint8]]:
    """By name, (side, side) or (side, side, 3); ``side`` is a multiple of four."""
    y, x = np.indices((side, side))
    rng = np.random.default_rng(0)
    dithers = {f"dither {share}": (rng.random((side, side)) < share) * 255 for share in (0.01, 0.03, 0.1, 0.3, 0.9)}
    ramp = np.tile(np.linspace(0, 1, side), (side, 1))
    made = {
        "black": y * 0,
        "white": y * 0 + 255,
        "checkerboard": (y + x) % 2 * 255,
        "coloured checkerboard": np.where(((y + x) % 2)[..., None], (255, 0, 0), (0, 255, 255)),
        "rows": y % 2 * 255,
        "columns": x % 2 * 255,
        "every third row": (y % 3 == 0) * 255,
        "coloured rows": np.where((y % 2)[..., None], (255, 0, 255), (0, 255, 0)),
        "one row": (y == side // 3) * 255,
        "grid": ((y % 8 == 0) | (x % 8 == 0)) * 255,
        "dots": ((y % 4 == 0) & (x % 4 == 0)) * 255,
        "wide dots": ((y % 6 == 0) & (x % 6 == 0)) * 255,
        "halves": (y >= side // 2) * 255,
        "ordered dither": (ramp > np.tile(BAYER, (side // 4, side // 4))) * 255,
        "noise": rng.integers(0, 256, (side, side)),
        "coloured noise": rng.integers(0, 256, (side, side, 3)),
        "coloured noise of one bit": rng.integers(0, 2, (side, side, 3)) * 255,
        "dark noise": rng.integers(0, 30, (side, side)),
        **dithers,
    }
    return {name: np.asarray(pixels, np.uint8) for name, pixels in made.items()}
