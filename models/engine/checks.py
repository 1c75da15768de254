"""Whether rows that came out of a network can be what they should be.

A driver bug, a damaged weight or a number format that overflows shows as no numbers, as black or as one colour. A
network changes edges and texture, never what a patch of eight by eight pixels looks like from afar: that is compared.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

PATCH = 8  # px of the input
LEAST_SPREAD = 6 / 255  # of the patches' brightness: an input with less has nothing that could be missed
KEPT_SPREAD = 0.2  # of the input's; real networks keep more than nine tenths
DARK = 0.05  # input brightness below which black is no surprise
KEPT_BRIGHTNESS = 0.25
FOREIGN = 0.25  # mean difference of the patches' colours; real networks stay below 0.03


def statistics(sr: Tensor, lq: Tensor) -> Tensor:
    """What :func:`verdict` needs, on the device of ``sr`` and without waiting for it.

    Args:
        sr: (3, h * scale, w * scale) float32, not clamped.
        lq: (3, h, w) float32 in [0, 1] on any device.

    Returns:
        Six numbers: finite or not, mean difference of patches, spread and mean of the input's, then of the result's.
    """
    scale = sr.shape[-1] // lq.shape[-1]
    theirs = _patches(lq, PATCH).to(sr.device)
    ours = _patches(sr.clamp(0, 1), PATCH * scale)
    finite = torch.isfinite(sr).all()
    return torch.stack(
        [
            finite.to(torch.float32),
            (ours - theirs).abs().mean(),
            theirs.std(correction=0),
            theirs.mean(),
            ours.std(correction=0),
            ours.mean(),
        ]
    )


def verdict(numbers: Tensor) -> str | None:
    """What is wrong with the rows, as the end of a sentence; None if nothing is."""
    finite, difference, lq_spread, lq_mean, sr_spread, sr_mean = numbers.tolist()
    if not finite:
        return "no numbers"
    if lq_mean > DARK and sr_mean < KEPT_BRIGHTNESS * lq_mean:
        return "black"
    if lq_spread > LEAST_SPREAD and sr_spread < KEPT_SPREAD * lq_spread:
        return "one colour"
    return "another picture" if difference > FOREIGN else None


def _patches(picture: Tensor, side: int) -> Tensor:
    """Mean colour of patches of ``side``, smaller ones where the picture ends."""
    kernel = (min(side, picture.shape[-2]), min(side, picture.shape[-1]))
    return functional.avg_pool2d(picture.unsqueeze(0), kernel, ceil_mode=True, count_include_pad=False)
