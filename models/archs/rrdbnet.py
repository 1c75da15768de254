"""RRDBNet, the network of ESRGAN and Real-ESRGAN.

Papers: "ESRGAN", Wang et al. 2018, https://arxiv.org/abs/1809.00219 (figures 3 and 4), and
"Real-ESRGAN", Wang et al. 2021, https://arxiv.org/abs/2107.10833 (section 3.3: pixel-unshuffle
before the x2 and x1 networks). Parameter names are those of the checkpoints released at
https://github.com/xinntao/Real-ESRGAN (BSD-3-Clause). Left out: initialisation for training.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.engine.trunk import Layer

SLOPE = 0.2  # of every leaky ReLU
RESIDUAL_WEIGHT = 0.2  # of what a block adds to its input


def _conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


def _activate(features: Tensor) -> Tensor:
    # In place: the argument is always the fresh output of a convolution.
    return functional.leaky_relu(features, SLOPE, inplace=True)


class ResidualDenseBlock(nn.Module):
    """Five convolutions, each of which sees the block's input and everything made since."""

    def __init__(self, num_feat: int, num_grow_ch: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(num_feat, num_grow_ch)
        self.conv2 = _conv3x3(num_feat + num_grow_ch, num_grow_ch)
        self.conv3 = _conv3x3(num_feat + 2 * num_grow_ch, num_grow_ch)
        self.conv4 = _conv3x3(num_feat + 3 * num_grow_ch, num_grow_ch)
        self.conv5 = _conv3x3(num_feat + 4 * num_grow_ch, num_feat)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, num_feat, H, W) to the same shape; the argument is left untouched."""
        seen = features
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat((seen, _activate(conv(seen))), 1)
        return torch.add(features, self.conv5(seen), alpha=RESIDUAL_WEIGHT)


class RRDB(nn.Module):
    """Residual in residual: three dense blocks and a weighted shortcut around them."""

    def __init__(self, num_feat: int, num_grow_ch: int) -> None:
        super().__init__()
        self.rdb1 = ResidualDenseBlock(num_feat, num_grow_ch)
        self.rdb2 = ResidualDenseBlock(num_feat, num_grow_ch)
        self.rdb3 = ResidualDenseBlock(num_feat, num_grow_ch)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, num_feat, H, W) to the same shape; the argument is left untouched."""
        return torch.add(features, self.rdb3(self.rdb2(self.rdb1(features))), alpha=RESIDUAL_WEIGHT)


class RRDBNet(nn.Module):
    """The RRDB trunk, then two nearest-neighbour doublings with a convolution after each.

    The trunk works at a quarter of the output's sides. For ``scale`` 2 and 1 the picture is
    therefore first folded (pixel-unshuffle) by 2 and 4, so its sides must be multiples of that.

    Args:
        num_in_ch: channels of the picture that goes in.
        num_out_ch: channels of the picture that comes out.
        scale: 4, 2 or 1.
        num_feat: channels of the trunk.
        num_block: how many RRDB.
        num_grow_ch: channels that each convolution of a dense block adds.
    """

    def __init__(
        self,
        *,
        num_in_ch: int = 3,
        num_out_ch: int = 3,
        scale: Literal[1, 2, 4] = 4,
        num_feat: int = 64,
        num_block: int = 23,
        num_grow_ch: int = 32,
    ) -> None:
        super().__init__()
        if scale not in {1, 2, 4}:
            raise ValueError(f"RRDBNet enlarges 1, 2 or 4 times, not {scale!r}")
        self.scale: int = scale
        self.tail_reach = 2  # five convolutions at two and four times the size see less than two pixels around
        self.unshuffle = 4 // scale  # input sides are multiples of this
        self.conv_first = _conv3x3(num_in_ch * self.unshuffle**2, num_feat)
        self.body = nn.Sequential(*(RRDB(num_feat, num_grow_ch) for _ in range(num_block)))
        self.conv_body = _conv3x3(num_feat, num_feat)
        self.conv_up1 = _conv3x3(num_feat, num_feat)
        self.conv_up2 = _conv3x3(num_feat, num_feat)
        self.conv_hr = _conv3x3(num_feat, num_feat)
        self.conv_last = _conv3x3(num_feat, num_out_ch)

    def forward(self, lq: Tensor) -> Tensor:
        """Enlarge pictures.

        Args:
            lq: (N, num_in_ch, H, W) floating point, nominally in [0, 1]; H and W are multiples of
                ``unshuffle``. Left untouched.

        Returns:
            (N, num_out_ch, H * scale, W * scale), not clamped.

        Raises:
            RuntimeError: a side is not a multiple of ``unshuffle``.
        """
        folded = self.fold(lq)
        shallow = self.conv_first(folded)
        return self.tail(self.conv_body(self.body(shallow)).add_(shallow), folded)

    def fold(self, lq: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C * unshuffle**2, H / unshuffle, W / unshuffle)."""
        return functional.pixel_unshuffle(lq, self.unshuffle) if self.unshuffle > 1 else lq

    def layers(self) -> tuple[Layer, ...]:
        """The trunk, from the folded picture to the features that are enlarged."""
        layers = [Layer(conv=self.conv_first, inputs=(0,))]
        for block in self.body:
            entry = len(layers)
            for name in ("rdb1", "rdb2", "rdb3"):
                start = len(layers)
                dense = cast("ResidualDenseBlock", getattr(block, name))
                for step, conv in enumerate((dense.conv1, dense.conv2, dense.conv3, dense.conv4)):
                    seen = tuple(range(start, start + step + 1))
                    layers.append(Layer(conv=conv, inputs=seen, activate=_activate))
                shortcuts = [(start, RESIDUAL_WEIGHT)] + [(entry, RESIDUAL_WEIGHT)] * (name == "rdb3")
                layers.append(
                    Layer(conv=dense.conv5, inputs=tuple(range(start, start + 5)), shortcuts=tuple(shortcuts))
                )
        layers.append(Layer(conv=self.conv_body, inputs=(len(layers),), shortcuts=((1, 1.0),)))
        return tuple(layers)

    def tail(self, features: Tensor, folded: Tensor) -> Tensor:  # noqa: ARG002  the other network adds to it
        """(N, num_feat, h, w) to (N, num_out_ch, 4 * h, 4 * w), not clamped."""
        for conv_up in (self.conv_up1, self.conv_up2):
            features = _activate(conv_up(functional.interpolate(features, scale_factor=2, mode="nearest")))
        sr: Tensor = self.conv_last(_activate(self.conv_hr(features)))
        return sr
