"""BiSeNet for faces: which pixel is skin, hair, an eye, the background.

Paper: "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation", Yu et al. 2018,
https://arxiv.org/abs/1808.00897 (figures 2 and 3), with the spatial path replaced by the second stage of its ResNet-18,
as in https://github.com/zllrunning/face-parsing.PyTorch (MIT), whose network gives the parameter names; facexlib hands
the same checkpoint out as ``parsing_bisenet.pth``. Trained on CelebAMask-HQ.

Not compared with the original: neither its weights nor any of its results were at hand. The key names are those of the
original's modules, and tensors of these shapes come to the size of the official file (3 KB of pickle apart); that the
layers do the same with them is as read, never as measured.

Left out: initialisation for training. The two auxiliary heads are kept for their parameters and never run.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LABELS = (
    "background", "skin", "left brow", "right brow", "left eye", "right eye", "glasses", "left ear", "right ear",
    "earring", "nose", "mouth", "upper lip", "lower lip", "neck", "necklace", "cloth", "hair", "hat",
)  # fmt: skip  # in the order of the output's channels; left and right are the subject's
MEAN = (0.485, 0.456, 0.406)  # of red, green, blue in [0, 1], which the network was trained to see subtracted
DEVIATION = (0.229, 0.224, 0.225)


def normalised(faces: Tensor) -> Tensor:
    """What the network takes, of (N, 3, H, W) floating point RGB in [0, 1], which is left untouched."""
    return (faces - faces.new_tensor(MEAN).view(3, 1, 1)) / faces.new_tensor(DEVIATION).view(3, 1, 1)


class ConvBNReLU(nn.Module):
    """A convolution without bias, batch normalisation, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(channels_out)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, channels_in, H, W) to (N, channels_out, H, W)."""
        return functional.relu(self.bn(self.conv(features)), inplace=True)


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False), nn.BatchNorm2d(channels_out)
            )
            if stride > 1
            else nn.Identity()
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, channels_in, H, W) to (N, channels_out, H / stride, W / stride), sizes rounded up."""
        made = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(features)), inplace=True)))
        return functional.relu(made + self.downsample(features), inplace=True)


def _stage(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(channels_in, channels_out, stride), BasicBlock(channels_out, channels_out, 1))


class ResNet18(nn.Module):
    """The ResNet of 18 layers without its classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 64, 1)
        self.layer2 = _stage(64, 128, 2)
        self.layer3 = _stage(128, 256, 2)
        self.layer4 = _stage(256, 512, 2)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (N, 3, H, W) to 128, 256 and 512 channels at an eighth, a sixteenth and a 32nd of the size."""
        features = functional.relu(self.bn1(self.conv1(faces)), inplace=True)
        features = self.layer1(functional.max_pool2d(features, 3, stride=2, padding=1))
        eighth = self.layer2(features)
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.layer4(sixteenth)


class AttentionRefinementModule(nn.Module):
    """A convolution whose channels are weighted by what they are on average."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(channels_in, channels_out)
        self.conv_atten = nn.Conv2d(channels_out, channels_out, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(channels_out)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, channels_in, H, W) to (N, channels_out, H, W)."""
        made: Tensor = self.conv(features)
        return made * torch.sigmoid(self.bn_atten(self.conv_atten(_average(made))))


class ContextPath(nn.Module):
    """What is where, roughly: the ResNet, and the way back up from its smallest maps."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet18()
        self.arm16 = AttentionRefinementModule(256, 128)
        self.arm32 = AttentionRefinementModule(512, 128)
        self.conv_head32 = ConvBNReLU(128, 128)
        self.conv_head16 = ConvBNReLU(128, 128)
        self.conv_avg = ConvBNReLU(512, 128, 1)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, 3, H, W) to two maps of 128 channels at an eighth of the size: as seen, and with the context."""
        eighth, sixteenth, smallest = self.resnet(faces)
        context = self.arm32(smallest) + self.conv_avg(_average(smallest))
        context = self.arm16(sixteenth) + self.conv_head32(_resized(context, sixteenth))
        return eighth, self.conv_head16(_resized(context, eighth))


class FeatureFusionModule(nn.Module):
    """Joins two maps, and adds to the result its channels weighted by what they are on average."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.convblk = ConvBNReLU(channels_in, channels_out, 1)
        self.conv1 = nn.Conv2d(channels_out, channels_out // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(channels_out // 4, channels_out, 1, bias=False)

    def forward(self, seen: Tensor, context: Tensor) -> Tensor:
        """Map two of (N, channels_in / 2, H, W) to (N, channels_out, H, W)."""
        made: Tensor = self.convblk(torch.cat((seen, context), 1))
        attention = torch.sigmoid(self.conv2(functional.relu(self.conv1(_average(made)), inplace=True)))
        return made + made * attention


class BiSeNetOutput(nn.Module):
    """A convolution, then one score per label."""

    def __init__(self, channels_in: int, channels: int, n_classes: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(channels_in, channels)
        self.conv_out = nn.Conv2d(channels, n_classes, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, channels_in, H, W) to (N, n_classes, H, W)."""
        scores: Tensor = self.conv_out(self.conv(features))
        return scores


class BiSeNet(nn.Module):
    """Scores for every pixel of a face and its surroundings.

    Args:
        n_classes: how many labels there are; 19 in the official checkpoint, see ``LABELS``.
    """

    def __init__(self, *, n_classes: int = len(LABELS)) -> None:
        super().__init__()
        self.cp = ContextPath()
        self.ffm = FeatureFusionModule(256, 256)
        self.conv_out = BiSeNetOutput(256, 256, n_classes)
        self.conv_out16 = BiSeNetOutput(128, 64, n_classes)
        self.conv_out32 = BiSeNetOutput(128, 64, n_classes)

    def forward(self, faces: Tensor) -> Tensor:
        """Parse faces.

        Args:
            faces: (N, 3, H, W), see :func:`normalised`; trained with faces of 512 by 512. Left untouched.

        Returns:
            Scores (logits) of (N, n_classes, H, W); the largest is the label.
        """
        seen, context = self.cp(faces)
        scores = self.conv_out(self.ffm(seen, context))
        return functional.interpolate(scores, faces.shape[-2:], mode="bilinear", align_corners=True)


def _average(features: Tensor) -> Tensor:
    return functional.adaptive_avg_pool2d(features, 1)


def _resized(features: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(features, like.shape[-2:], mode="nearest")
