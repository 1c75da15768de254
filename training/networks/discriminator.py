"""The U-Net discriminator with spectral normalisation of Real-ESRGAN.

Source: "Real-ESRGAN", Wang et al. 2021, https://arxiv.org/abs/2107.10833, section 3.3, after "A U-Net based
discriminator", Schönfeld et al. 2020, and "Spectral normalization", Miyato et al. 2018. Parameter names are those of
the released checkpoints (BSD-3-Clause), so that a released discriminator can be a start.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

LEAK = 0.2


class UNetDiscriminatorSN(nn.Module):
    """One logit for every pixel, positive where it looks real.

    Args:
        num_in_ch: channels of the pictures.
        num_feat: channels at full size; Real-ESRGAN has 64, on a CPU 16 is affordable.
    """

    def __init__(self, *, num_in_ch: int = 3, num_feat: int = 64) -> None:
        super().__init__()
        f = num_feat
        self.conv0 = nn.Conv2d(num_in_ch, f, 3, padding=1)
        self.conv1 = spectral_norm(nn.Conv2d(f, f * 2, 4, stride=2, padding=1, bias=False))
        self.conv2 = spectral_norm(nn.Conv2d(f * 2, f * 4, 4, stride=2, padding=1, bias=False))
        self.conv3 = spectral_norm(nn.Conv2d(f * 4, f * 8, 4, stride=2, padding=1, bias=False))
        self.conv4 = spectral_norm(nn.Conv2d(f * 8, f * 4, 3, padding=1, bias=False))
        self.conv5 = spectral_norm(nn.Conv2d(f * 4, f * 2, 3, padding=1, bias=False))
        self.conv6 = spectral_norm(nn.Conv2d(f * 2, f, 3, padding=1, bias=False))
        self.conv7 = spectral_norm(nn.Conv2d(f, f, 3, padding=1, bias=False))
        self.conv8 = spectral_norm(nn.Conv2d(f, f, 3, padding=1, bias=False))
        self.conv9 = nn.Conv2d(f, 1, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (N, 1, H, W) of pictures (N, C, H, W), RGB, 0 to 1; sides divisible by 8."""
        full = _leaky(self.conv0(pictures))
        half = _leaky(self.conv1(full))
        quarter = _leaky(self.conv2(half))
        eighth = _leaky(self.conv3(quarter))
        up = _leaky(self.conv4(_twice(eighth))) + quarter
        up = _leaky(self.conv5(_twice(up))) + half
        up = _leaky(self.conv6(_twice(up))) + full
        logits: Tensor = self.conv9(_leaky(self.conv8(_leaky(self.conv7(up)))))
        return logits


def _leaky(maps: Tensor) -> Tensor:
    return functional.leaky_relu(maps, LEAK)


def _twice(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
