"""Pictures that nobody has to bring: gradients, shapes, glyphs and textures, drawn from a seed.

Enough to see that training works, not to train a model for photographs.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Levels = NDArray[np.uint8]
Plane = NDArray[np.float32]
FONTS = (cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX)
LETTERS = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 .,-&?"


def drawing(number: int, *, seed: int = 0, width: int = 480, height: int = 384) -> Levels:
    """One picture.

    Args:
        number: which one; each has its own chance.
        seed: of the whole set.
        width: px.
        height: px.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    rng = np.random.default_rng([seed, number])
    background, surface = (_blend(rng, _slope(rng, width, height)) for _ in range(2))
    canvas = background + (surface - background) * _clouds(rng, width, height)[..., None]
    canvas *= (0.85 + 0.3 * _weave(rng, width, height))[..., None]
    levels = np.ascontiguousarray(np.rint(np.clip(canvas, 0, 1) * 255), np.uint8)
    for _ in range(int(rng.integers(8, 20))):
        _add_shape(levels, rng)
    for _ in range(int(rng.integers(3, 8))):
        _add_words(levels, rng)
    return levels


def write_drawings(folder: Path, count: int, *, seed: int = 0) -> list[Path]:
    """Write pictures as ``drawing-NNN.png``; those that are there are written again, with the same pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"drawing-{number:03d}.png" for number in range(count)]
    for number, file in enumerate(files):
        Image.fromarray(drawing(number, seed=seed)).save(file)
    return files


def _blend(rng: np.random.Generator, plane: Plane) -> Plane:
    """A plane of 0 to 1 between two colours: (H, W, 3)."""
    first, second = rng.random((2, 3), np.float32)
    return np.asarray(first + (second - first) * plane[..., None], np.float32)


def _slope(rng: np.random.Generator, width: int, height: int) -> Plane:
    angle = rng.uniform(0, 2 * np.pi)
    ys, xs = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    plane = xs * np.cos(angle) + ys * np.sin(angle)
    return np.asarray((plane - plane.min()) / np.ptp(plane), np.float32)


def _clouds(rng: np.random.Generator, width: int, height: int) -> Plane:
    """Noise of several sizes, coarse above fine: stone, bark, grass from afar."""
    plane = np.zeros((height, width), np.float32)
    for cell in (64, 32, 16, 8, 4, 2):
        coarse = rng.random((height // cell + 2, width // cell + 2), np.float32)
        plane += cell**0.7 * np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return np.asarray((plane - plane.min()) / np.ptp(plane), np.float32)


def _weave(rng: np.random.Generator, width: int, height: int) -> Plane:
    """Threads one way or both: cloth, fences, brickwork."""
    ys, xs = np.mgrid[0:height, 0:width]
    plane = np.ones((height, width))
    for _ in range(int(rng.integers(1, 3))):
        angle, wavelength = rng.uniform(0, np.pi), rng.uniform(5, 24)
        plane *= 0.5 + 0.5 * np.sin((xs * np.cos(angle) + ys * np.sin(angle)) * 2 * np.pi / wavelength)
    return np.asarray(plane, np.float32)


def _add_shape(levels: Levels, rng: np.random.Generator) -> None:
    height, width = levels.shape[:2]
    colour = rng.integers(0, 256, 3).tolist()
    centre = np.array([rng.integers(width), rng.integers(height)])
    kind, thickness = rng.integers(4), int(rng.choice([-1, 1, 2, 4]))
    if kind == 0:
        axes = rng.integers(6, 90, 2).tolist()
        cv2.ellipse(levels, centre.tolist(), axes, float(rng.uniform(0, 180)), 0, 360, colour, thickness, cv2.LINE_AA)
    elif kind == 1:
        corners = (centre + rng.integers(-80, 81, (int(rng.integers(3, 6)), 2))).astype(np.int32)
        cv2.fillPoly(levels, [corners], colour, cv2.LINE_AA)
    elif kind == 2:  # a bush of hairs
        for _ in range(int(rng.integers(10, 40))):
            end = centre + rng.normal(0, 40, 2)
            cv2.line(levels, centre.tolist(), np.rint(end).astype(int).tolist(), colour, 1, cv2.LINE_AA)
    else:
        end = centre + rng.integers(-150, 151, 2)
        cv2.line(levels, centre.tolist(), end.tolist(), colour, abs(thickness), cv2.LINE_AA)


def _add_words(levels: Levels, rng: np.random.Generator) -> None:
    height, width = levels.shape[:2]
    words = "".join(rng.choice(list(LETTERS), int(rng.integers(4, 16))))
    place = (int(rng.integers(-20, width)), int(rng.integers(10, height)))
    font, size = int(rng.choice(FONTS)), float(rng.uniform(0.4, 2.0))
    cv2.putText(
        levels, words, place, font, size, rng.integers(0, 256, 3).tolist(), int(rng.integers(1, 3)), cv2.LINE_AA
    )
