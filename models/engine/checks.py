"""Whether rows that came out of a network can be what they should be.

A driver bug, a damaged weight or a number format that overflows shows as no numbers, as black, as one colour or as rows
of something else. A network changes edges and texture, not what a patch of eight by eight pixels looks like from afar:
that is compared. Only where neighbouring pixels have nothing to do with each other, as in noise, dithers and
checkerboards, do networks make of a patch what they like: the rougher the input, the less is expected.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

PATCH = 8  # px of the input

# All in [0, 1]. Measured in bands of 1 to 160 rows, with the networks for video and for drawings on 55 and on 19
# photographs, drawings, faces and stickers, and on 27 patterns and kinds of noise.
LEAST_SPREAD = 6 / 255  # of the patches of one channel: an input with less has nothing that could be missed
KEPT_SPREAD = 0.4  # of the input's; never below 0.81 in what was measured
DARK = 0.05  # input brightness below which black is no surprise
KEPT_BRIGHTNESS = 0.5  # never below 0.96
CLEAR_SPREAD = 18 / 255  # from here on patches have to rise and fall with those of the input
RELATED = 0.5  # correlation of the patches; never below 0.93
FOREIGN = 0.12  # mean difference of the patches' colours; never above 0.05
FOREIGN_IF_ROUGH = 1.5  # times the roughness more
DOUBT = 0.5  # of the roughness, as spread that patches have without meaning it; more if they are not whole
CONSTANT = 1e-4  # all values the same


def statistics(sr: Tensor, lq: Tensor, around: Tensor | None = None) -> Tensor:
    """What :func:`verdict` needs, on the device of ``sr`` and without waiting for it.

    Args:
        sr: (3, h * scale, w * scale) float32, not clamped.
        lq: (3, h, w) float32 in [0, 1] on any device.
        around: ``lq`` with some rows above and below, for a single row cannot tell how rough a picture is.

    Returns:
        Eleven numbers: finite or not, difference and correlation of patches, spread and mean of the input's, of the
        result's, range of the result's values and of the input's, roughness, spread without a meaning.
    """
    height, width = lq.shape[1:]
    grid = max(1, height // PATCH), max(1, width // PATCH)
    theirs = _patches(lq, grid)
    rough = _roughness(lq if around is None else around)
    doubt = DOUBT * rough * max(1.0, PATCH / height) * max(1.0, PATCH / width)
    mean, range_, rough, doubt = torch.stack([theirs.mean(), _range(lq), rough, doubt]).to(sr.device)
    theirs, ours = theirs.to(sr.device), _patches(sr.clamp(0, 1), grid)
    their_relief, our_relief = (patches - patches.mean(dim=(2, 3), keepdim=True) for patches in (theirs, ours))
    spread, our_spread = (relief.square().mean().sqrt() for relief in (their_relief, our_relief))
    our_range = _range(sr)  # what is no number makes this none either, many times quicker than looking at each
    return torch.stack(
        [
            torch.isfinite(our_range).to(torch.float32),
            (ours - theirs).abs().mean(),
            (our_relief * their_relief).mean() / (our_spread * spread).clamp(min=1e-9),
            spread,
            mean,
            our_spread,
            ours.mean(),
            our_range,
            range_,
            rough,
            doubt,
        ]
    )


def verdict(numbers: Tensor) -> str | None:
    """What is wrong with the rows, as the end of a sentence; None if nothing is."""
    finite, difference, correlation, spread, mean, our_spread, our_mean, our_range, range_, rough, doubt = (
        numbers.tolist()
    )
    if not finite:
        return "no numbers"
    if mean - rough > DARK and our_mean < KEPT_BRIGHTNESS * (mean - rough):
        return "black"
    is_flattened = spread > LEAST_SPREAD + doubt and our_spread < KEPT_SPREAD * spread
    if is_flattened or (our_range < CONSTANT and range_ > LEAST_SPREAD):
        return "one colour"
    is_unrelated = spread > CLEAR_SPREAD + doubt and correlation < RELATED
    return "another picture" if is_unrelated or difference > FOREIGN + FOREIGN_IF_ROUGH * rough else None


def _patches(picture: Tensor, hw: tuple[int, int]) -> Tensor:
    """Mean colour of as many patches; where the sides are no multiples they are larger, never smaller."""
    return functional.adaptive_avg_pool2d(picture.unsqueeze(0), hw)


def _range(picture: Tensor) -> Tensor:
    """Of the channel that has most of it."""
    return (picture.amax(dim=(1, 2)) - picture.amin(dim=(1, 2))).amax()


def _roughness(picture: Tensor) -> Tensor:
    """Standard deviation within patches."""
    grid = max(1, picture.shape[1] // PATCH), max(1, picture.shape[2] // PATCH)
    variance = _patches(picture.square(), grid) - _patches(picture, grid).square()
    return variance.clamp(min=0).mean().sqrt()
