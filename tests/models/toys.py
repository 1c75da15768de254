"""Small networks and pictures that tests can reason about."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from models.archs import RRDBNet, SRVGGNetCompact
from models.engine.device import Engine
from models.engine.model import Model, make_upsampler
from models.engine.upsampler import Upsampler
from models.restorer import Restorer

FLOAT32 = Engine(torch.device("cpu"), torch.float32, "for the test")
BFLOAT16 = Engine(torch.device("cpu"), torch.bfloat16, "for the test")


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
            # Mostly the pixel itself, so that what comes out can be recognised.
            conv.weight.data = torch.rand(3, 3, 3, 3, generator=generator) / 67 / convolutions
            conv.weight.data[range(3), range(3), 1, 1] += 1 - 0.2 / convolutions
            conv.bias.data = torch.full((3,), 0.01 / convolutions)

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


def compact(scale: int = 4, *, seed: int = 0, features: int = 8, convolutions: int = 4) -> SRVGGNetCompact:
    """A small network of the real kind, which is streamed, with random weights."""
    torch.manual_seed(seed)
    return SRVGGNetCompact(num_feat=features, num_conv=convolutions, upscale=scale).eval()


class Dense(RRDBNet):
    """The other real kind, pixel-unshuffle and all; with random weights it needs to be shown the picture."""

    def __init__(self, scale: Literal[1, 2, 4] = 4, *, seed: int = 0, blocks: int = 1) -> None:
        torch.manual_seed(seed)
        super().__init__(scale=scale, num_feat=8, num_block=blocks, num_grow_ch=4)
        for parameter in self.parameters():
            parameter.data.mul_(2.0)  # as torch makes them the features die away
        self.eval()

    def tail(self, features: Tensor, folded: Tensor) -> Tensor:
        picture = functional.pixel_shuffle(folded, self.unshuffle)
        return super().tail(features, folded) + functional.interpolate(picture, scale_factor=self.scale)


def upsampler_of(network: nn.Module, engine: Engine = FLOAT32) -> Upsampler:
    return make_upsampler(network, engine)


def model_of(network: nn.Module, *, name: str = "toy", engine: Engine = FLOAT32) -> Model:
    """Whatever number format it is loaded for, it has the weights that ``network`` has now."""
    return Model(name, lambda: copy.deepcopy(network), engine, digest=name)


def restorer_of(network: nn.Module, engine: Engine = FLOAT32, **more: Any) -> Restorer:
    """With the very network, so that a test can change it; other number formats have a copy of it as it was."""
    as_it_was, at_first = copy.deepcopy(network), iter([network])
    load = lambda: next(at_first, None) or copy.deepcopy(as_it_was)  # noqa: E731
    return Restorer([Model("toy", load, engine)], engine=engine, threads=1, **more)


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
