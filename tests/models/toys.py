"""Small networks and pictures that tests can reason about."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from models.engine.device import Engine
from models.engine.model import Model
from models.engine.upsampler import Upsampler
from models.restorer import Restorer

FLOAT32 = Engine(torch.device("cpu"), torch.float32, "for the test")


class Nearest(nn.Module):
    """Every pixel becomes a square of itself: what comes out can be said without a network."""

    def __init__(self, scale: int = 2, unshuffle: int = 1) -> None:
        super().__init__()
        self.scale, self.unshuffle = scale, unshuffle

    def forward(self, lq: Tensor) -> Tensor:
        assert lq.shape[-1] % self.unshuffle == 0
        assert lq.shape[-2] % self.unshuffle == 0
        return functional.interpolate(lq, scale_factor=self.scale, mode="nearest")


class Conv3x3(nn.Module):
    """Each pixel sees one pixel around itself, then is enlarged; weights fixed."""

    def __init__(self, scale: int = 2, unshuffle: int = 1, convolutions: int = 1) -> None:
        super().__init__()
        self.scale, self.unshuffle = scale, unshuffle
        generator = torch.Generator().manual_seed(3)
        self.convs = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(convolutions))
        for conv in self.convs:
            assert isinstance(conv, nn.Conv2d)
            assert conv.bias is not None
            conv.weight.data = torch.rand(3, 3, 3, 3, generator=generator) / 27
            conv.bias.data = torch.full((3,), 0.02)

    def forward(self, lq: Tensor) -> Tensor:
        for conv in self.convs:
            lq = conv(lq)
        return functional.interpolate(lq, scale_factor=self.scale, mode="nearest")


class Does(nn.Module):
    """Nearest, with something happening before each forward."""

    def __init__(self, happening: Callable[[Tensor], Tensor], scale: int = 2) -> None:
        super().__init__()
        self.scale, self.unshuffle, self.happening = scale, 1, happening

    def forward(self, lq: Tensor) -> Tensor:
        return functional.interpolate(self.happening(lq), scale_factor=self.scale, mode="nearest")


def upsampler_of(network: nn.Module) -> Upsampler:
    scale, align = network.scale, network.unshuffle
    assert isinstance(scale, int)
    assert isinstance(align, int)
    return Upsampler(network, scale=scale, align=align, engine=FLOAT32)


def restorer_of(network: nn.Module) -> Restorer:
    return Restorer([Model("toy", lambda: network, FLOAT32)], engine=FLOAT32, threads=1)


def noise(height: int, width: int, *channels: int, seed: int = 0, dtype: type = np.uint8) -> NDArray[np.uint8]:
    """Every level equally likely, so that a pixel in the wrong place shows."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(dtype).max, (height, width, *channels), dtype, endpoint=True)


def png(pixels: NDArray[np.generic], **how: object) -> bytes:
    """8-bit pixels in a PNG that Pillow wrote."""
    return saved(Image.fromarray(pixels), "PNG", **how)


def saved(image: Image.Image, format_: str, **how: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **how)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def pixels_of(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(opened(data))
