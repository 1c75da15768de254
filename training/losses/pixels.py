"""Distances between pictures that need no other network. Pictures are (N, 3, H, W) float32, RGB, 0 to 1."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

EPSILON = 1e-3  # of one; a fourth of a level
LUMA = (0.299, 0.587, 0.114)  # BT.601
BLOCK = 8  # px; the texture that a x4 network has to invent is finer than this


def charbonnier(sr: Tensor, wanted: Tensor) -> Tensor:
    """Mean of sqrt(d² + ε²): as the mean absolute difference, but smooth at zero.

    Source: "Two deterministic half-quadratic regularization algorithms", Charbonnier et al. 1994; for pictures of
    higher resolution since LapSRN, Lai et al. 2017.
    """
    return torch.sqrt((sr - wanted).square() + EPSILON**2).mean()


def gradient_loss(sr: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of the steps from pixel to pixel, both ways: edges count, levels do not."""
    # The difference of steps is the step of differences; with channels last, slices of rows lie together in memory.
    error = (sr - wanted).permute(0, 2, 3, 1)
    down, right = error[:, 1:] - error[:, :-1], error[:, :, 1:] - error[:, :, :-1]
    return down.abs().mean() + right.abs().mean()


def spectrum_loss(sr: Tensor, wanted: Tensor, *, shift: tuple[int, int] = (0, 0)) -> Tensor:
    """Mean absolute difference of the amplitudes of luma in windows of 8x8.

    A network that cannot know where a texture's crests lie makes it smooth, for that costs least by any distance of
    pixels. Amplitudes do not say where a crest lies, only how high it is, so here smoothing is what costs.

    Args:
        sr: answer.
        wanted: what it should look like.
        shift: rows and columns before the first window, so that windows need not lie at the same place in every step.
    """
    return (_amplitudes(sr, shift) - _amplitudes(wanted, shift)).abs().mean()


def _amplitudes(pictures: Tensor, shift: tuple[int, int]) -> Tensor:
    """(windows, frequencies) of luma; the mean of a window is left out."""
    luma = pictures.permute(0, 2, 3, 1) @ pictures.new_tensor(LUMA)
    rows, columns = ((side - offset) // BLOCK for side, offset in zip(luma.shape[1:], shift, strict=True))
    whole = luma[:, shift[0] : shift[0] + rows * BLOCK, shift[1] : shift[1] + columns * BLOCK]
    windows = whole.reshape(-1, rows, BLOCK, columns, BLOCK).transpose(2, 3).reshape(-1, BLOCK * BLOCK)
    cosines, sines = (windows @ waves.to(windows) for waves in _waves())
    return torch.sqrt(cosines.square() + sines.square() + EPSILON**2)


@lru_cache
@torch.inference_mode(mode=False)  # they are kept, and what is made in that mode cannot be learned through
def _waves() -> tuple[Tensor, Tensor]:
    """The discrete Fourier transform of a window as two matrices (64, frequencies), each frequency once.

    They first take the window's mean out and let it fade to its edges (Hann), which are linear as well.
    """
    size = BLOCK * BLOCK
    places = torch.arange(BLOCK, dtype=torch.float64)
    ys, xs = (grid.flatten() for grid in torch.meshgrid(places, places, indexing="ij"))
    # The others are the mean, or mirror one of these.
    kept = [(v, u) for v in range(BLOCK) for u in range(BLOCK // 2 + 1)
            if (v, u) != (0, 0) and (u % (BLOCK // 2) or v <= BLOCK // 2)]  # fmt: skip
    vs, us = torch.tensor(kept, dtype=torch.float64).T
    angles = 2 * math.pi / BLOCK * (ys[:, None] * vs + xs[:, None] * us)
    fade = torch.hann_window(BLOCK, periodic=False, dtype=torch.float64)
    prepare = (torch.eye(size, dtype=torch.float64) - 1 / size) * torch.outer(fade, fade).flatten()
    return tuple((prepare @ waves / BLOCK).float() for waves in (angles.cos(), angles.sin()))
