"""Distance between features of VGG19, for which the user brings the weights.

Source: "Very deep convolutional networks", Simonyan and Zisserman 2015, configuration E, with the key layout of the
usual checkpoint (``features.0.weight`` …); layers and weights of the distance as in Real-ESRGAN, Wang et al. 2021.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from models.checkpoints.state_dicts import load_state_dict
from models.errors import RestorationError
from training.errors import DataError

HALVE = 0
WIDTHS = (64, 64, HALVE, 128, 128, HALVE, *[256] * 4, HALVE, *[512] * 4, HALVE, *[512] * 4)
LAYERS = {2: 0.1, 7: 0.1, 16: 1.0, 25: 1.0, 34: 1.0}  # conv1_2, conv2_2, conv3_4, conv4_4, conv5_4, before their ReLU
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class VGG19Features(nn.Module):
    """VGG19 up to its last convolution."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in WIDTHS:
            if width != HALVE:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[: max(LAYERS) + 1])
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def read(cls, path: Path) -> VGG19Features:
        """The network with the weights of a file; a classifier in it is left out.

        Raises:
            DataError: the file is missing, unsafe, or of another network.
        """
        network = cls()
        try:
            state = load_state_dict(path)
            network.load_state_dict({name: state[name] for name in network.state_dict()})
        except (RestorationError, OSError, KeyError, RuntimeError) as exc:
            raise DataError(f"{path} does not hold the features of VGG19: {exc}") from exc
        return network.eval().requires_grad_(requires_grad=False)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """The features that the distance looks at, of (N, 3, H, W), RGB, 0 to 1."""
        maps, found = (pictures - self.mean) / self.std, []
        for number, layer in enumerate(self.features):
            maps = layer(maps)
            if number in LAYERS:
                found.append(maps)
        return found


def perceptual_loss(features: VGG19Features, sr: Tensor, wanted: Tensor) -> Tensor:
    """Weighed mean absolute difference of the features."""
    with torch.no_grad():
        theirs = features(wanted)
    weights = LAYERS.values()
    parts = [weight * (a - b).abs().mean() for weight, a, b in zip(weights, features(sr), theirs, strict=True)]
    return torch.stack(parts).sum()
