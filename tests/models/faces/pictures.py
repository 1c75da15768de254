"""Pictures and faces that tests of pasting can reason about."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.faces.alignment import TEMPLATE, Affine, invert, transform

Array = NDArray[Any]

SIDE = 512
WAVES = 8
UPRIGHT = np.array([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)])


def waves(seed: int = 0, *, finest: float = 0.05) -> Callable[[Array, Array], Array]:
    """Brightness 0 to 255 at any point of a plane, by formula: what a perfect interpolation would give.

    ``finest``: periods per unit of the plane.
    """
    rng = np.random.default_rng(seed)
    angles, phases = rng.uniform(0, 2 * np.pi, (2, WAVES))
    periods = finest * rng.uniform(0.15, 1, WAVES)

    def at(x: Array, y: Array) -> Array:
        total = np.zeros(np.broadcast_shapes(x.shape, y.shape))
        for angle, phase, frequency in zip(angles, phases, periods, strict=True):
            total += np.cos(2 * np.pi * frequency * (np.cos(angle) * x + np.sin(angle) * y) + phase)
        return 128 + 70 / np.sqrt(WAVES) * total

    return at


def drawn(at: Callable[[Array, Array], Array], affine: Affine, size_wh: tuple[int, int]) -> Array:
    """(H, W) float64: the plane as a picture sees it whose pixel (x, y) shows the plane's point ``affine (x, y)``."""
    x, y = np.meshgrid(np.arange(size_wh[0]), np.arange(size_wh[1]))
    points = transform(affine, np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64))
    return at(points[:, 0], points[:, 1]).reshape(size_wh[::-1])


def to_crop_affine(middle_xy: tuple[float, float], scale: float, degrees: float = 0.0) -> Affine:
    """From a picture to the crop of a face there; ``scale`` pixels of the crop per pixel of the picture."""
    turn = scale * np.exp(1j * np.radians(degrees))
    linear = np.array([(turn.real, -turn.imag), (turn.imag, turn.real)])
    return np.column_stack([linear, np.array([256.0, 292.0]) - linear @ middle_xy])


def landmarks_of(affine: Affine) -> NDArray[np.float32]:
    """(5, 2): where in the picture the template's points lie."""
    return transform(invert(affine), TEMPLATE).astype(np.float32)


def coloured(gray: Array) -> NDArray[np.uint8]:
    """(H, W) levels to (H, W, 3) of a skin's tint."""
    return np.clip(np.rint(gray[..., None] * [1.0, 0.8, 0.7]), 0, 255).astype(np.uint8)


@cache
def photograph(
    width: int = 400, height: int = 300, seed: int = 3, *, noise: float = 2.0, finest: float = 0.08
) -> NDArray[np.uint8]:
    """(H, W, 3), read-only: soft shapes with some noise."""
    gray = drawn(waves(seed, finest=finest), UPRIGHT, (width, height))
    rng = np.random.default_rng(seed)
    return frozen(coloured(gray + rng.normal(0, noise, gray.shape)) if noise else coloured(gray))


def frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array


@cache
def another_face(seed: int = 9) -> NDArray[np.float32]:
    """(512, 512, 3) levels, read-only: a crop that has nothing to do with any picture."""
    return frozen(coloured(drawn(waves(seed, finest=0.06), UPRIGHT, (SIDE, SIDE))).astype(np.float32))
