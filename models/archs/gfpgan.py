"""GFPGANv1Clean, the network of GFPGAN v1.2 to v1.4: a U-Net that steers a face generator.

Paper: "Towards Real-World Blind Face Restoration with Generative Facial Prior", Wang et al. 2021,
https://arxiv.org/abs/2101.04061 (figure 2 and section 3). Parameter names are those of the checkpoints released at
https://github.com/TencentARC/GFPGAN (Apache-2.0; its licence file reprints NVIDIA's StyleGAN2 terms beside it).
Left out: what only training needs, and everything random, see :mod:`models.archs.stylegan2_clean`. ``toRGB``, which
makes thumbnails for the loss, is kept for its parameters and never run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional

from models.archs.stylegan2_clean import FIRST_SIDE, SLOPE, Condition, StyleGAN2GeneratorCSFT, channels_at, doubled


def _activate(features: Tensor) -> Tensor:
    # In place: the argument is always the fresh output of a convolution.
    return functional.leaky_relu(features, SLOPE, inplace=True)


def _halved(features: Tensor) -> Tensor:
    # Bilinear reduction to half falls on the middle of four pixels, and so is their mean.
    return functional.avg_pool2d(features, 2)


class ResBlock(nn.Module):
    """Two convolutions with a change of size between them, and a shortcut that changes it as well."""

    def __init__(self, channels_in: int, channels_out: int, *, up: bool) -> None:
        super().__init__()
        self.up = up
        self.conv1 = nn.Conv2d(channels_in, channels_in, 3, padding=1)
        self.conv2 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.skip = nn.Conv2d(channels_in, channels_out, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', 2 H, 2 W) or (N, C', H / 2, W / 2); the argument is left untouched."""
        resize = doubled if self.up else _halved
        made = _activate(self.conv2(resize(_activate(self.conv1(features)))))
        # A 1x1 convolution and a resize can change places; the convolution is cheaper where there are fewer pixels.
        skipped = doubled(self.skip(features)) if self.up else self.skip(_halved(features))
        return made.add_(skipped)


def _condition(channels: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.LeakyReLU(SLOPE, inplace=True),
        nn.Conv2d(channels, channels_out, 3, padding=1),
    )


class GFPGANv1Clean(nn.Module):
    """Restores aligned faces of ``out_size`` by ``out_size`` pixels, and nothing else.

    Args:
        out_size: side of the face that goes in and comes out, a power of two of 8 or more.
        num_style_feat: length of a style of the decoder.
        num_mlp: layers of the decoder's mapping network, which is there for its parameters only.
        num_feat: channels of the decoder's levels up to 32 px; the U-Net has half of the decoder's everywhere.
        channel_multiplier: for the channels of the larger levels.
    """

    def __init__(
        self,
        *,
        out_size: int = 512,
        num_style_feat: int = 512,
        num_mlp: int = 8,
        num_feat: int = 512,
        channel_multiplier: int = 2,
    ) -> None:
        super().__init__()
        if out_size < 2 * FIRST_SIDE or out_size & (out_size - 1):
            raise ValueError(f"faces have a power of two of pixels to a side, 8 or more, not {out_size!r}")
        self.out_size = out_size
        self.num_style_feat = num_style_feat
        steps = int(math.log2(out_size // FIRST_SIDE))
        of_side = [  # channels at 4, 8, 16 ... out_size px
            channels_at(FIRST_SIDE << step, num_feat=num_feat, channel_multiplier=channel_multiplier) // 2
            for step in range(steps + 1)
        ]
        rising, falling = of_side[1:], of_side[::-1]
        self.conv_body_first = nn.Conv2d(3, falling[0], 1)
        self.conv_body_down = nn.ModuleList(
            ResBlock(falling[step], falling[step + 1], up=False) for step in range(steps)
        )
        self.final_conv = nn.Conv2d(of_side[0], of_side[0], 3, padding=1)
        self.conv_body_up = nn.ModuleList(ResBlock(of_side[step], of_side[step + 1], up=True) for step in range(steps))
        self.stylegan_decoder = StyleGAN2GeneratorCSFT(
            out_size=out_size,
            num_style_feat=num_style_feat,
            num_mlp=num_mlp,
            num_feat=num_feat,
            channel_multiplier=channel_multiplier,
        )
        self.final_linear = nn.Linear(of_side[0] * FIRST_SIDE**2, self.stylegan_decoder.num_styles * num_style_feat)
        self.toRGB = nn.ModuleList(nn.Conv2d(channels, 3, 1) for channels in rising)
        self.condition_scale = nn.ModuleList(_condition(channels, channels) for channels in rising)
        self.condition_shift = nn.ModuleList(_condition(channels, channels) for channels in rising)

    def forward(self, faces: Tensor) -> Tensor:
        """Restore faces.

        Args:
            faces: (N, 3, out_size, out_size) floating point RGB in [-1, 1], aligned to the template that the network
                was trained with. Left untouched.

        Returns:
            (N, 3, out_size, out_size), nominally in [-1, 1], not clamped. The same faces give the same result.

        Raises:
            ValueError: the faces have another size.
        """
        if faces.dim() != 4 or tuple(faces.shape[1:]) != (3, self.out_size, self.out_size):
            side = self.out_size
            raise ValueError(f"faces have to be (N, 3, {side}, {side}), not {tuple(faces.shape)}")
        features = _activate(self.conv_body_first(faces))
        shortcuts = []
        for down in self.conv_body_down:
            features = down(features)
            shortcuts.append(features)
        features = _activate(self.final_conv(features))
        styles = self.final_linear(features.flatten(1)).unflatten(1, (-1, self.num_style_feat))
        restored: Tensor = self.stylegan_decoder(styles, self._conditions(features, shortcuts))
        return restored

    def _conditions(self, features: Tensor, shortcuts: list[Tensor]) -> Iterator[Condition]:
        """The way up of the U-Net, which the decoder takes level by level: less has to be kept at a time."""
        for up, scale, shift in zip(self.conv_body_up, self.condition_scale, self.condition_shift, strict=True):
            features = up(features + shortcuts.pop())
            yield scale(features), shift(features)
