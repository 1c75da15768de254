"""Blur: bad lenses, missed focus, shaking hands; and the ringing of too much sharpening.

Kernels and their ranges are those of "Real-ESRGAN", Wang et al. 2021, https://arxiv.org/abs/2107.10833, section 3 and
appendix: generalised Gaussians ("Estimating generalized Gaussian blur kernels for out-of-focus image deblurring",
Liu et al. 2020, https://doi.org/10.1109/TCSVT.2020.2990623), plateaus, and the two-dimensional sinc.
Simpler than there: exponents are drawn evenly over their range, every shape is as often longer one way, and
small sinc kernels have the cutoffs of large ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from training.degradations.base import Picture, Range

Kernel = NDArray[np.float32]
Shape = Literal["gaussian", "generalised", "plateau"]
SHAPES: tuple[tuple[float, Shape], ...] = ((0.70, "gaussian"), (0.15, "generalised"), (0.15, "plateau"))
ANISOTROPIC = 0.31  # share of kernels that are longer one way: the paper's 0.25, 0.03 and 0.03
LARGEST = 21  # px


def gaussian_kernel(
    size: int, sigma_x: float, sigma_y: float, angle: float, *, shape: Shape = "gaussian", beta: float = 1.0
) -> Kernel:
    """A blob that sums to 1.

    Args:
        size: side, px, odd.
        sigma_x: width along its own first axis, px.
        sigma_y: width along its second axis, px.
        angle: of the first axis, radians.
        shape: how it falls off.
        beta: above 1 the generalised Gaussian and the plateau fall off faster at their edge.

    Returns:
        (size, size) float32.
    """
    reach = size // 2
    ys, xs = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    along, across = xs * np.cos(angle) + ys * np.sin(angle), -xs * np.sin(angle) + ys * np.cos(angle)
    squared = (along / sigma_x) ** 2 + (across / sigma_y) ** 2
    kernel = 1 / (1 + squared**beta) if shape == "plateau" else np.exp(-0.5 * squared**beta)
    return np.asarray(kernel / kernel.sum(), np.float32)


def sinc_kernel(size: int, cutoff: float) -> Kernel:
    """The ideal low-pass filter, round, cut to a square: it leaves rings beside every edge.

    Args:
        size: side, px, odd.
        cutoff: radians per pixel, pi lets everything through.

    Returns:
        (size, size) float32 that sums to 1.
    """
    reach = size // 2
    ys, xs = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    radius = np.hypot(xs, ys)
    safe = np.where(radius == 0, 1.0, radius)
    kernel = np.where(radius == 0, cutoff**2 / (4 * np.pi), cutoff * _bessel_j1(cutoff * safe) / (2 * np.pi * safe))
    return np.asarray(kernel / kernel.sum(), np.float32)


def _bessel_j1(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Bessel function of the first kind, order 1, by its integral over half a turn."""
    steps = 256  # the midpoint rule on a smooth periodic function: exact to rounding for x below about 200
    turn = (np.arange(steps) + 0.5) * np.pi / steps
    values: NDArray[np.float64] = np.cos(turn - x[..., None] * np.sin(turn)).mean(axis=-1)
    return values


def filtered(picture: Picture, kernel: Kernel) -> Picture:
    """A picture under a kernel, mirrored at its edges."""
    return np.asarray(cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.float32)


@dataclass(frozen=True)
class GaussianBlur:
    """A round Gaussian of one width.

    Args:
        sigma: px.
    """

    sigma: float

    def __call__(self, picture: Picture, _rng: np.random.Generator) -> Picture:
        """Blur the picture."""
        size = 2 * max(1, round(3 * self.sigma)) + 1
        return filtered(picture, gaussian_kernel(size, self.sigma, self.sigma, 0.0))


@dataclass(frozen=True)
class RandomBlur:
    """A kernel drawn from the paper's mixture.

    Args:
        sigma: widths, px.
        sinc: share of sinc kernels.
        beta_generalised: exponents of generalised Gaussians.
        beta_plateau: exponents of plateaus.
    """

    sigma: Range = Range(0.2, 3.0)
    sinc: float = 0.1
    beta_generalised: Range = Range(0.5, 4.0)
    beta_plateau: Range = Range(1.0, 2.0)

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Draw a kernel and blur."""
        if rng.random() < self.sinc:
            return RandomSinc()(picture, rng)
        size = int(rng.choice(np.arange(7, LARGEST + 1, 2)))
        weights, shapes = zip(*SHAPES, strict=True)
        shape = shapes[rng.choice(len(shapes), p=weights)]
        first, angle = self.sigma.draw(rng), rng.uniform(-np.pi, np.pi)
        second = self.sigma.draw(rng) if rng.random() < ANISOTROPIC else first
        beta = {"gaussian": None, "generalised": self.beta_generalised, "plateau": self.beta_plateau}[shape]
        exponent = beta.draw(rng) if beta else 1.0
        return filtered(picture, gaussian_kernel(size, first, second, angle, shape=shape, beta=exponent))


@dataclass(frozen=True)
class RandomSinc:
    """Ringing, as sharpening and strong compression leave it.

    Args:
        cutoff: radians per pixel.
    """

    cutoff: Range = Range(np.pi / 3, np.pi)

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Draw a cutoff and filter."""
        size = int(rng.choice(np.arange(7, LARGEST + 1, 2)))
        return np.clip(filtered(picture, sinc_kernel(size, self.cutoff.draw(rng))), 0, 1)


@dataclass(frozen=True)
class Sharpening:
    """An unsharp mask, as phones and picture editors apply.

    Args:
        amount: share of the detail that is added once more.
        sigma: width of the mask, px.
    """

    amount: Range = Range(0.3, 1.2)
    sigma: Range = Range(0.7, 1.5)

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """Add the detail and clip, as a camera does."""
        amount, sigma = self.amount.draw(rng), self.sigma.draw(rng)
        soft = GaussianBlur(sigma)(picture, rng)
        return np.clip(picture + np.float32(amount) * (picture - soft), 0, 1)
