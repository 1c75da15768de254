"""The decoder of GFPGAN: StyleGAN2's synthesis network in the form that needs no CUDA code of its own.

Papers: "Analyzing and Improving the Image Quality of StyleGAN", Karras et al. 2020,
https://arxiv.org/abs/1912.04958 (section 2.2 and figure 2: modulated convolutions; figure 7: skip
generator), and "Towards Real-World Blind Face Restoration with Generative Facial Prior", Wang et al. 2021,
https://arxiv.org/abs/2101.04061 (section 3.3: half of the channels are scaled and shifted by conditions).
Parameter names are those of the checkpoints released at https://github.com/TencentARC/GFPGAN (Apache-2.0).

Left out: fresh noise (the buffers in the checkpoint are used, so the same face comes out the same every time), style
mixing, truncation, initialisation for training. The mapping network is kept for its parameters and never run: GFPGAN
makes its styles itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2  # of every leaky ReLU
GAIN = math.sqrt(2)  # of every demodulated convolution
EPSILON = 1e-8  # of the demodulation
FIRST_SIDE = 4  # px of the constant that everything grows from

Condition = tuple[Tensor, Tensor]  # scale and shift, (N, C / 2, H, W) each


def channels_at(side: int, *, num_feat: int, channel_multiplier: int) -> int:
    """Channels of the feature maps of that side: ``num_feat`` up to 32 px, then fewer as they grow."""
    return num_feat if side <= 32 else num_feat * channel_multiplier * 32 // side


def doubled(features: Tensor) -> Tensor:
    """(N, C, H, W) to (N, C, 2 H, 2 W), bilinear."""
    return functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)


def _without_faces(_module: nn.Module, state: dict[str, Any], prefix: str, *_more: object) -> None:
    kernel = state.get(f"{prefix}weight")
    if kernel is not None and kernel.dim() == 5 and len(kernel) == 1:
        state[f"{prefix}weight"] = kernel[0]


def _with_faces(_module: nn.Module, state: dict[str, Any], prefix: str, _metadata: object) -> None:
    state[f"{prefix}weight"] = state[f"{prefix}weight"].unsqueeze(0)


class ModulatedConv2d(nn.Module):
    """A convolution whose input channels are weighted by a style, and whose output is brought back to unit variance.

    Weighting the kernel for every face, as the paper writes it, makes as many convolutions as there are faces. To
    weight the maps that go in and come out is the same sum, and one convolution for all faces.

    Args:
        channels_in: of the maps.
        channels_out: of the maps.
        kernel_size: 3 or 1, zero padded to keep the size.
        num_style_feat: length of a style.
        demodulate: whether the output is brought back.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel_size: int, *, num_style_feat: int, demodulate: bool
    ) -> None:
        super().__init__()
        self.demodulate = demodulate
        self.modulation = nn.Linear(num_style_feat, channels_in)
        nn.init.ones_(self.modulation.bias)
        bound = 1 / math.sqrt(channels_in * kernel_size**2)
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, kernel_size, kernel_size))
        nn.init.uniform_(self.weight, -bound, bound)
        # Checkpoints have a fifth dimension of 1 in front, for the faces of a batch. Inside it would only keep the
        # network from being laid out as channels_last.
        self.register_load_state_dict_pre_hook(_without_faces)  # type: ignore[no-untyped-call]  # torch has no types
        self.register_state_dict_post_hook(_with_faces)  # type: ignore[no-untyped-call]  # for these two

    def forward(self, features: Tensor, style: Tensor, *, up: bool = False) -> Tensor:
        """Convolve.

        Args:
            features: (N, channels_in, H, W), left untouched.
            style: (N, num_style_feat).
            up: enlarge the maps by two first.

        Returns:
            (N, channels_out, H or 2 H, W or 2 W); where it is demodulated, with a variance of 2.
        """
        scales, demodulation = self.modulation(style), None
        if self.demodulate:
            # Only ratios of the scales matter here. Brought to 1 they keep float16 from overflowing.
            largest = scales.abs().amax(1, keepdim=True).clamp_min(torch.finfo(scales.dtype).tiny)
            scales = scales / largest
            precise = torch.promote_types(scales.dtype, torch.float32)  # thousands of squares are added up
            power = torch.linalg.vector_norm(self.weight, dim=(2, 3), dtype=precise).square()
            variance = functional.linear(scales.to(precise).square(), power)
            demodulation = torch.rsqrt(variance + EPSILON / largest.to(precise).square()).to(features.dtype)
        features = features * scales[..., None, None]
        if up:  # after the scaling, which has a quarter of the work to do here
            features = doubled(features)
        made = functional.conv2d(features, self.weight, padding=self.weight.shape[-1] // 2)
        return made if demodulation is None else made.mul_(demodulation[..., None, None] * GAIN)


class StyleConv(nn.Module):
    """A modulated convolution, noise, bias and activation; ``weight`` is the strength of the noise."""

    def __init__(self, channels_in: int, channels_out: int, *, num_style_feat: int, up: bool) -> None:
        super().__init__()
        self.up = up
        self.modulated_conv = ModulatedConv2d(
            channels_in, channels_out, 3, num_style_feat=num_style_feat, demodulate=True
        )
        self.weight = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(1, channels_out, 1, 1))

    def forward(self, features: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        """Map (N, C, H, W) and noise of (1, 1, H', W') to (N, C', H', W'), twice as large if ``up``."""
        made: Tensor = self.modulated_conv(features, style, up=self.up)
        made.add_(self.bias).add_(noise * self.weight)
        return functional.leaky_relu(made, SLOPE, inplace=True)


class ToRGB(nn.Module):
    """A 1x1 modulated convolution to three colours, on top of the enlarged picture of the level before."""

    def __init__(self, channels_in: int, *, num_style_feat: int) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv2d(channels_in, 3, 1, num_style_feat=num_style_feat, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, features: Tensor, style: Tensor, rgb: Tensor | None = None) -> Tensor:
        """Map (N, C, H, W), and (N, 3, H / 2, W / 2) if there is one, to (N, 3, H, W)."""
        made: Tensor = self.modulated_conv(features, style).add_(self.bias)
        return made if rgb is None else made.add_(doubled(rgb))


class ConstantInput(nn.Module):
    """The learnt map of 4 by 4 that every face grows from."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, channels, FIRST_SIDE, FIRST_SIDE))

    def forward(self, faces: int) -> Tensor:
        """(N, C, 4, 4), the same N times."""
        return self.weight.expand(faces, -1, -1, -1)


class StyleGAN2GeneratorCSFT(nn.Module):
    """Grows a picture from styles, level by level, each guided by conditions.

    Args:
        out_size: side of the picture, a power of two.
        num_style_feat: length of a style.
        num_mlp: layers of the mapping network, which is not used.
        num_feat: channels of the levels up to 32 px.
        channel_multiplier: for the channels of the larger levels.
    """

    def __init__(
        self, *, out_size: int, num_style_feat: int, num_mlp: int, num_feat: int, channel_multiplier: int
    ) -> None:
        super().__init__()
        levels = range(3, int(math.log2(out_size)) + 1)
        first = channels_at(FIRST_SIDE, num_feat=num_feat, channel_multiplier=channel_multiplier)
        self.style_mlp = nn.ModuleDict(  # numbered among activations that are left out, as all of it could be
            {str(2 * layer + 1): nn.Linear(num_style_feat, num_style_feat) for layer in range(num_mlp)}
        )
        self.constant_input = ConstantInput(first)
        self.style_conv1 = StyleConv(first, first, num_style_feat=num_style_feat, up=False)
        self.to_rgb1 = ToRGB(first, num_style_feat=num_style_feat)
        self.style_convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        self.noises = nn.Module()
        self.noises.register_buffer("noise0", torch.randn(1, 1, FIRST_SIDE, FIRST_SIDE))
        channels_in = first
        for index, level in enumerate(levels):
            channels = channels_at(2**level, num_feat=num_feat, channel_multiplier=channel_multiplier)
            for step, entering in enumerate((channels_in, channels)):
                self.style_convs.append(StyleConv(entering, channels, num_style_feat=num_style_feat, up=step == 0))
                self.noises.register_buffer(f"noise{2 * index + 1 + step}", torch.randn(1, 1, 2**level, 2**level))
            self.to_rgbs.append(ToRGB(channels, num_style_feat=num_style_feat))
            channels_in = channels
        self.num_styles = 2 * len(levels) + 2

    def forward(self, styles: Tensor, conditions: Iterable[Condition]) -> Tensor:
        """Make pictures.

        Args:
            styles: (N, num_styles, num_style_feat).
            conditions: one per level, from 8 px up; taken one at a time, so they may be made on the way.

        Returns:
            (N, 3, out_size, out_size), nominally in [-1, 1], not clamped.
        """
        features = self.style_conv1(self.constant_input(len(styles)), styles[:, 0], self.noises.noise0)
        rgb: Tensor = self.to_rgb1(features, styles[:, 1])
        # One level at a time: double, guide half of the channels, convolve, add to the picture. The last style of a
        # level is the first of the next.
        for level, (scale, shift) in enumerate(conditions):
            number = 2 * level + 1
            features = self.style_convs[2 * level](features, styles[:, number], self._noise(number))
            guided = features[:, features.shape[1] // 2 :]
            guided.mul_(scale).add_(shift)
            features = self.style_convs[2 * level + 1](features, styles[:, number + 1], self._noise(number + 1))
            rgb = self.to_rgbs[level](features, styles[:, number + 2], rgb)
        return rgb

    def _noise(self, number: int) -> Tensor:
        return self.noises.get_buffer(f"noise{number}")
