"""How Real-ESRGAN's own RealESRGANer enlarges a picture, for comparison.

Follows ``realesrgan/utils.py`` of https://github.com/xinntao/Real-ESRGAN in what it does, step by step, not in its
code: float32 (or float16 on a GPU) in the order in which torch makes tensors, reflected by 10 px at the right and at
the bottom, windows of 400 px with 10 px around them one after the other, everything collected in a float picture.
"""

from __future__ import annotations

from itertools import product
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

RGB = NDArray[np.uint8]

TILE, TILE_PAD, PRE_PAD = 400, 10, 10  # px


class Seed:
    """A network on a device as the official class has it."""

    def __init__(self, network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        self.scale = cast("int", network.scale)
        self._align = cast("int", network.unshuffle)
        self._network = network.eval().to(device, dtype)
        self._device, self._dtype = device, dtype

    def __call__(self, lq: RGB) -> RGB:
        """(H, W, 3) to (H * scale, W * scale, 3)."""
        height, width = lq.shape[:2]
        levels = lq.astype(np.float32) / 255
        picture = torch.from_numpy(levels.transpose(2, 0, 1)).unsqueeze(0).to(self._device, self._dtype)
        picture = functional.pad(picture, (0, PRE_PAD, 0, PRE_PAD), "reflect")
        missing = [-side % self._align for side in picture.shape[-2:]]
        picture = functional.pad(picture, (0, missing[1], 0, missing[0]), "reflect")
        with torch.no_grad():
            sr = self._tiles(picture)[..., : height * self.scale, : width * self.scale]
        result = sr.squeeze(0).float().cpu().clamp_(0, 1).numpy().transpose(1, 2, 0)
        return cast("RGB", (result * 255.0).round().astype(np.uint8))

    def _tiles(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[-2:]
        scale = self.scale
        canvas = picture.new_zeros(1, 3, height * scale, width * scale)
        for y, x in product(range(0, height, TILE), range(0, width, TILE)):
            bottom, right = min(y + TILE, height), min(x + TILE, width)
            top, left = max(y - TILE_PAD, 0), max(x - TILE_PAD, 0)
            window = picture[..., top : min(bottom + TILE_PAD, height), left : min(right + TILE_PAD, width)]
            core = self._network(window)[
                ..., (y - top) * scale : (bottom - top) * scale, (x - left) * scale : (right - left) * scale
            ]
            canvas[..., y * scale : bottom * scale, x * scale : right * scale] = core
        return canvas
