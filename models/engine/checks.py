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
SECTION = 4  # patches along each side that are judged together, at least; nearly twice as many at most

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
        (11, rows, columns) of sections, so that little that is wrong is not lost in much that is right: finite or
        not, mean difference and correlation of patches, spread and mean of the input's, of the result's, range of the
        result's values and of the input's, roughness, spread without a meaning.
    """
    height, width = lq.shape[1:]
    sections = _sections(height), _sections(width)
    grid = _grid(lq, sections)
    theirs = _patches(lq, grid)
    rough = _roughness(lq if around is None else around, sections)
    doubt = DOUBT * rough * max(1.0, PATCH / height) * max(1.0, PATCH / width)
    known = torch.stack([_mean(theirs), _range(lq, sections), rough, doubt]).to(sr.device)
    theirs, ours = theirs.to(sr.device), _patches(sr.clamp(0, 1), grid)
    their_relief, our_relief = (patches - patches.mean(dim=(2, 4), keepdim=True) for patches in (theirs, ours))
    spread, our_spread = (_mean(relief.square()).sqrt() for relief in (their_relief, our_relief))
    related = _mean(our_relief * their_relief) / (our_spread * spread).clamp(min=1e-9)
    # What is no number makes a sum none, which is found ten times as quickly as by looking at each.
    finite = torch.isfinite(sr.sum()).to(torch.float32).expand_as(spread)
    found = [finite, _mean((ours - theirs).abs()), related, spread, known[0], our_spread, _mean(ours)]
    return torch.stack([*found, _range(sr, sections), *known[1:]])


def verdict(numbers: Tensor) -> str | None:
    """What is wrong with the rows, as the end of a sentence; None if nothing is."""
    finite, difference, related, spread, mean, our_spread, our_mean, our_range, range_, rough, doubt = (
        numbers.cpu().flatten(1).numpy()
    )
    smooth_mean = mean - rough
    findings = {
        "no numbers": finite == 0,
        "black": (smooth_mean > DARK) & (our_mean < KEPT_BRIGHTNESS * smooth_mean),
        "one colour": ((spread > LEAST_SPREAD + doubt) & (our_spread < KEPT_SPREAD * spread))
        | ((our_range < CONSTANT) & (range_ > LEAST_SPREAD)),
        "another picture": ((spread > CLEAR_SPREAD + doubt) & (related < RELATED))
        | (difference > FOREIGN + FOREIGN_IF_ROUGH * rough),
    }
    return next((finding for finding, where in findings.items() if where.any()), None)


def _sections(length: int) -> int:
    return max(1, length // (PATCH * SECTION))


def _grid(picture: Tensor, sections: tuple[int, int]) -> tuple[int, int, int, int]:
    """Rows of sections, patches in each of them, and the same of columns; no patch is smaller than it should be."""
    (rows, columns), (height, width) = sections, picture.shape[1:]
    return rows, max(1, height // rows // PATCH), columns, max(1, width // columns // PATCH)


def _patches(picture: Tensor, grid: tuple[int, int, int, int]) -> Tensor:
    """Mean colours, (3, *grid)."""
    rows, down, columns, across = grid
    return functional.adaptive_avg_pool2d(picture.unsqueeze(0), (rows * down, columns * across)).view(3, *grid)


def _mean(patches: Tensor) -> Tensor:
    return patches.mean(dim=(0, 2, 4))


def _range(picture: Tensor, sections: tuple[int, int]) -> Tensor:
    """Of the channel that has most of it; of rows and columns that do not divide, the last are left out."""
    (rows, columns), (height, width) = sections, picture.shape[1:]
    high, wide = height // rows, width // columns
    parts = picture[:, : rows * high, : columns * wide].reshape(3, rows, high, columns, wide)
    return (parts.amax(dim=(2, 4)) - parts.amin(dim=(2, 4))).amax(dim=0)


def _roughness(picture: Tensor, sections: tuple[int, int]) -> Tensor:
    """Standard deviation within patches; of a few rows more than the sections have."""
    grid = _grid(picture, sections)
    variance = _patches(picture.square(), grid) - _patches(picture, grid).square()
    return _mean(variance.clamp(min=0)).sqrt()
