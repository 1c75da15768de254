"""Distances between pictures that need no other network. Pictures are (N, 3, H, W) float32, RGB, 0 to 1."""

from __future__ import annotations

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
    across = (sr.diff(dim=3) - wanted.diff(dim=3)).abs().mean()
    return across + (sr.diff(dim=2) - wanted.diff(dim=2)).abs().mean()


def spectrum_loss(sr: Tensor, wanted: Tensor, *, shift: tuple[int, int] = (0, 0)) -> Tensor:
    """Mean absolute difference of the amplitudes of luma in windows of 8x8.

    A network that cannot know where a texture's crests lie makes it smooth, for that costs least by any distance of
    pixels. Amplitudes do not say where a crest lies, only how high it is, so here smoothing is what costs.

    Args:
        sr: answer.
        wanted: what it should look like.
        shift: where the first window begins, so that windows need not lie at the same place in every step.
    """
    ours, theirs = _amplitudes(sr, shift), _amplitudes(wanted, shift)
    return (ours - theirs).abs().mean()


def _amplitudes(pictures: Tensor, shift: tuple[int, int]) -> Tensor:
    """(N, rows, columns, 8, 5); the mean of a window is left out."""
    luma = (pictures * pictures.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1)
    windows = luma[:, shift[0] :, shift[1] :].unfold(1, BLOCK, BLOCK // 2).unfold(2, BLOCK, BLOCK // 2)
    windows = windows - windows.mean(dim=(-2, -1), keepdim=True)
    edge = torch.hann_window(BLOCK, periodic=False, device=pictures.device)
    spectra = torch.fft.rfft2(windows * (edge[:, None] * edge[None, :]), norm="ortho")
    return torch.sqrt(spectra.real.square() + spectra.imag.square() + EPSILON**2)
