"""SRVGGNetCompact, the small network of Real-ESRGAN: plain convolutions at the input's size.

Source: "Real-ESRGAN", Wang et al. 2021, https://arxiv.org/abs/2107.10833, and the release notes of
https://github.com/xinntao/Real-ESRGAN v0.2.3 to v0.2.5, whose checkpoints (BSD-3-Clause) give the
parameter names: ``body`` alternates convolution and activation, the last convolution makes
``upscale`` squared times the output channels, and the network adds to the picture enlarged
by nearest neighbour. Left out: initialisation for training.
"""

from __future__ import annotations

from itertools import repeat
from typing import Literal, cast

from torch import Tensor, nn
from torch.nn import functional

from models.engine.trunk import Layer

Activation = Literal["prelu", "relu", "leakyrelu"]
LEAKY_SLOPE = 0.1


def _activation(act_type: Activation, channels: int) -> nn.Module:
    if act_type == "prelu":
        return nn.PReLU(channels)
    if act_type == "relu":
        return nn.ReLU(inplace=True)
    if act_type == "leakyrelu":
        return nn.LeakyReLU(LEAKY_SLOPE, inplace=True)
    raise ValueError(f"activations are prelu, relu and leakyrelu, not {act_type!r}")


class SRVGGNetCompact(nn.Module):
    """A straight chain of 3x3 convolutions, then one pixel-shuffle.

    Args:
        num_in_ch: channels of the picture that goes in.
        num_out_ch: channels of the picture that comes out; the same number.
        num_feat: channels of the chain.
        num_conv: convolutions between the first and the last.
        upscale: how many times larger the picture comes out.
        act_type: the activation after every convolution but the last.
    """

    def __init__(
        self,
        *,
        num_in_ch: int = 3,
        num_out_ch: int = 3,
        num_feat: int = 64,
        num_conv: int = 16,
        upscale: int = 4,
        act_type: Activation = "prelu",
    ) -> None:
        super().__init__()
        if num_in_ch != num_out_ch:
            raise ValueError(f"adds to its input, so channels must match: {num_in_ch} in, {num_out_ch} out")
        self.scale = upscale
        self.unshuffle = 1  # any input side will do
        self.tail_reach = 0
        self.body = nn.Sequential()
        for channels_in in (num_in_ch, *repeat(num_feat, num_conv)):
            self.body.append(nn.Conv2d(channels_in, num_feat, 3, padding=1))
            self.body.append(_activation(act_type, num_feat))
        self.body.append(nn.Conv2d(num_feat, num_out_ch * upscale**2, 3, padding=1))

    def forward(self, lq: Tensor) -> Tensor:
        """Enlarge pictures.

        Args:
            lq: (N, num_in_ch, H, W) floating point, nominally in [0, 1]. Left untouched.

        Returns:
            (N, num_out_ch, H * upscale, W * upscale), not clamped.
        """
        return self.tail(self.body(lq), lq)

    def fold(self, lq: Tensor) -> Tensor:
        """The picture as it is."""
        return lq

    def layers(self) -> tuple[Layer, ...]:
        """The whole chain; what comes after only moves and adds pixels."""
        modules = list(self.body)
        return tuple(
            Layer(
                conv=cast("nn.Conv2d", conv),
                inputs=(index // 2,),
                activate=modules[index + 1] if index + 1 < len(modules) else None,
            )
            for index, conv in enumerate(modules)
            if index % 2 == 0
        )

    def tail(self, features: Tensor, folded: Tensor) -> Tensor:
        """(N, num_out_ch * upscale**2, h, w) and the picture itself to (N, num_out_ch, h * upscale, w * upscale)."""
        detail = functional.pixel_shuffle(features, self.scale)
        return detail.add_(functional.interpolate(folded, scale_factor=self.scale, mode="nearest"))
