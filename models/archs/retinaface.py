"""RetinaFace, the face detector with five landmarks, on MobileNet 0.25 or ResNet-50.

Sources: "RetinaFace", Deng et al. 2019, https://arxiv.org/abs/1905.00641; "SSH", Najibi et al. 2017,
https://arxiv.org/abs/1708.03979; "MobileNets", Howard et al. 2017, https://arxiv.org/abs/1704.04861; "Deep residual
learning", He et al. 2015, https://arxiv.org/abs/1512.03385. The parameter names are those of the checkpoints of
https://github.com/biubug6/Pytorch_Retinaface (MIT), which facexlib ships unchanged. Left out: the mesh branch and
deformable convolutions of the paper, which those checkpoints do not have either, and training.

What comes out is relative to anchors; :mod:`models.faces.detectors` makes anchors and boxes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Backbone = Literal["mobilenet0.25", "resnet50"]

ANCHORS_PER_CELL = 2
NARROW_SLOPE = 0.1  # of the leaky ReLU in networks of at most 64 channels; wider ones were trained with a plain ReLU
NARROW = 64


class RetinaFace(nn.Module):
    """Backbone, feature pyramid, one context module and three heads per level of stride 8, 16 and 32.

    Args:
        backbone: ``mobilenet0.25`` (0.4 million parameters) or ``resnet50`` (27 million).
    """

    def __init__(self, backbone: Backbone = "mobilenet0.25") -> None:
        super().__init__()
        if backbone == "mobilenet0.25":
            self.body: nn.Module = _MobileNet025()
            channels_in, channels = (64, 128, 256), 64
        elif backbone == "resnet50":
            self.body = _ResNet50()
            channels_in, channels = (512, 1024, 2048), 256
        else:
            raise ValueError(f"backbones are mobilenet0.25 and resnet50, not {backbone!r}")
        self.fpn = _FeaturePyramid(channels_in, channels)
        self.ssh1 = _Context(channels)
        self.ssh2 = _Context(channels)
        self.ssh3 = _Context(channels)
        self.ClassHead = nn.ModuleList(_Head(channels, 2) for _ in range(3))
        self.BboxHead = nn.ModuleList(_Head(channels, 4) for _ in range(3))
        self.LandmarkHead = nn.ModuleList(_Head(channels, 10) for _ in range(3))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What every anchor sees.

        Args:
            images: (N, 3, H, W) floating point, blue, green, red in 0..255 minus 104, 117, 123. Left untouched.

        Returns:
            Offsets of the boxes (N, P, 4), probabilities of background and face (N, P, 2), and offsets of the
            landmarks (N, P, 10) for the P anchors: levels of stride 8, 16, 32 (sides rounded up), row by row, two
            anchors per cell.
        """
        levels = self.fpn(self.body(images))
        features = [context(level) for context, level in zip((self.ssh1, self.ssh2, self.ssh3), levels, strict=True)]
        offsets, classes, landmarks = (
            torch.cat([head(feature) for head, feature in zip(heads, features, strict=True)], dim=1)
            for heads in (self.BboxHead, self.ClassHead, self.LandmarkHead)
        )
        return offsets, classes.softmax(-1), landmarks


class _Head(nn.Module):
    """A 1x1 convolution, its ``values`` per anchor side by side."""

    def __init__(self, channels: int, values: int) -> None:
        super().__init__()
        self.values = values
        self.conv1x1 = nn.Conv2d(channels, ANCHORS_PER_CELL * values, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, h, w) to (N, h * w * 2, values)."""
        maps: Tensor = self.conv1x1(features)
        return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, self.values)


class _Context(nn.Module):
    """SSH's context module: windows of 3, 5 and 7 pixels side by side, the larger ones as chains of 3x3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        quarter, slope = channels // 4, _slope(channels)
        self.conv3X3 = _conv(channels, channels // 2)
        self.conv5X5_1 = nn.Sequential(*_conv(channels, quarter), nn.LeakyReLU(slope, inplace=True))
        self.conv5X5_2 = _conv(quarter, quarter)
        self.conv7X7_2 = nn.Sequential(*_conv(quarter, quarter), nn.LeakyReLU(slope, inplace=True))
        self.conv7x7_3 = _conv(quarter, quarter)

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, h, w) to the same shape."""
        narrow = self.conv5X5_1(features)
        windows = (self.conv3X3(features), self.conv5X5_2(narrow), self.conv7x7_3(self.conv7X7_2(narrow)))
        return torch.cat(windows, dim=1).relu_()


class _FeaturePyramid(nn.Module):
    """Three levels brought to one width, each with the coarser ones added."""

    def __init__(self, channels_in: tuple[int, int, int], channels: int) -> None:
        super().__init__()
        slope = _slope(channels)

        def block(wide: int, kernel: int) -> nn.Sequential:
            return nn.Sequential(*_conv(wide, channels, kernel=kernel), nn.LeakyReLU(slope, inplace=True))

        self.output1, self.output2, self.output3 = (block(wide, 1) for wide in channels_in)
        self.merge1, self.merge2 = block(channels, 3), block(channels, 3)

    def forward(self, levels: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Three levels, fine to coarse, to three of one width."""
        fine, middle, coarse = self.output1(levels[0]), self.output2(levels[1]), self.output3(levels[2])
        middle = self.merge2(middle + functional.interpolate(coarse, size=middle.shape[-2:], mode="nearest"))
        fine = self.merge1(fine + functional.interpolate(middle, size=fine.shape[-2:], mode="nearest"))
        return fine, middle, coarse


class _MobileNet025(nn.Module):
    """MobileNet v1 of a quarter of the width; what strides 8, 16 and 32 know."""

    def __init__(self) -> None:
        super().__init__()
        first = nn.Sequential(*_conv(3, 8, stride=2), nn.LeakyReLU(NARROW_SLOPE, inplace=True))
        self.stage1 = nn.Sequential(first, *_separable((8, 16, 32, 32, 64, 64), strides=(1, 2, 1, 2, 1)))
        self.stage2 = nn.Sequential(*_separable((64, *[128] * 6), strides=(2, 1, 1, 1, 1, 1)))
        self.stage3 = nn.Sequential(*_separable((128, 256, 256), strides=(2, 1)))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) to levels of 64, 128 and 256 channels."""
        fine = self.stage1(images)
        middle = self.stage2(fine)
        return fine, middle, self.stage3(middle)


class _ResNet50(nn.Module):
    """ResNet-50 without its classifier; what strides 8, 16 and 32 know."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _residual_stage(64, 64, blocks=3, stride=1)
        self.layer2 = _residual_stage(256, 128, blocks=4, stride=2)
        self.layer3 = _residual_stage(512, 256, blocks=6, stride=2)
        self.layer4 = _residual_stage(1024, 512, blocks=3, stride=2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) to levels of 512, 1024 and 2048 channels."""
        stem = functional.max_pool2d(self.bn1(self.conv1(images)).relu_(), 3, stride=2, padding=1)
        fine = self.layer2(self.layer1(stem))
        middle = self.layer3(fine)
        return fine, middle, self.layer4(middle)


class _Bottleneck(nn.Module):
    """Narrow, look around, widen, and add to what came in."""

    def __init__(self, channels_in: int, narrow: int, stride: int) -> None:
        super().__init__()
        wide = 4 * narrow
        self.conv1 = nn.Conv2d(channels_in, narrow, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.conv3 = nn.Conv2d(narrow, wide, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(wide)
        self.downsample = None if channels_in == wide else _conv(channels_in, wide, kernel=1, stride=stride)

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels_in, h, w) to (N, 4 * narrow, h / stride, w / stride)."""
        kept = features if self.downsample is None else self.downsample(features)
        features = self.bn1(self.conv1(features)).relu_()
        features = self.bn2(self.conv2(features)).relu_()
        changed: Tensor = self.bn3(self.conv3(features))
        return changed.add_(kept).relu_()


def _residual_stage(channels_in: int, narrow: int, *, blocks: int, stride: int) -> nn.Sequential:
    rest = (_Bottleneck(4 * narrow, narrow, 1) for _ in range(blocks - 1))
    return nn.Sequential(_Bottleneck(channels_in, narrow, stride), *rest)


def _separable(channels: tuple[int, ...], strides: tuple[int, ...]) -> Iterable[nn.Sequential]:
    """Depthwise 3x3 and pointwise 1x1 convolutions in turn, each normalised and leaky."""
    for channels_in, channels_out, stride in zip(channels[:-1], channels[1:], strides, strict=True):
        yield nn.Sequential(
            *_conv(channels_in, channels_in, stride=stride, groups=channels_in),
            nn.LeakyReLU(NARROW_SLOPE, inplace=True),
            *_conv(channels_in, channels_out, kernel=1),
            nn.LeakyReLU(NARROW_SLOPE, inplace=True),
        )


def _conv(channels_in: int, channels_out: int, *, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution without bias, then its batch norm."""
    conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out))


def _slope(channels: int) -> float:
    return NARROW_SLOPE if channels <= NARROW else 0.0
