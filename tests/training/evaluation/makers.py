"""Pictures and checkpoints whose scores can be foreseen."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from models.archs import SRVGGNetCompact

SCALE = 4


def gray(level: float, height: int = 32, width: int = 32) -> NDArray[np.uint8]:
    return np.full((height, width, 3), level, np.uint8)


def smooth(seed: int, side: int = 64) -> NDArray[np.uint8]:
    """Soft blobs of colour: nothing in them is finer than the noise that is put on them."""
    coarse = np.random.default_rng(seed).integers(40, 215, (4, 4, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def originals(folder: Path, count: int = 2) -> Path:
    folder.mkdir()
    for number in range(count):
        Image.fromarray(smooth(number, 128)).save(folder / f"blobs{number}.png")
    return folder


def idle() -> SRVGGNetCompact:
    """All weights zero, and so nothing is added to the picture with its pixels repeated."""
    network = SRVGGNetCompact(num_feat=3, num_conv=0)
    for parameter in network.parameters():
        parameter.data.zero_()
    return network


def honest() -> SRVGGNetCompact:
    """Takes the mean of 3x3 pixels against noise, and goes linearly from one pixel to the next."""
    network = SRVGGNetCompact(num_feat=6, num_conv=0)  # three features as they came, three averaged
    for parameter in network.parameters():
        parameter.data.zero_()
    first, last = network.body[0].weight.data, network.body[2].weight.data
    network.body[1].weight.data.fill_(1.0)  # of a PReLU: linear
    for colour in range(3):
        first[colour, colour, 1, 1] = 1.0
        first[3 + colour, colour] = 1 / 9
        for row in range(SCALE):
            for column in range(SCALE):
                phase = last[(colour * SCALE + row) * SCALE + column]
                phase[3 + colour] = torch.outer(_linear(row), _linear(column))
                phase[colour, 1, 1] = -1.0  # what the network itself adds
    return network


def _linear(phase: int) -> Tensor:
    """Weights of the pixel before, the pixel itself and the one after."""
    offset = (phase + 0.5) / SCALE - 0.5
    return torch.tensor([max(0.0, -offset), 1 - abs(offset), max(0.0, offset)])


def checkpoint(file: Path, network: SRVGGNetCompact) -> Path:
    if file.suffix == ".safetensors":
        save_file(network.state_dict(), file)
    else:
        torch.save({"params_ema": network.state_dict(), "params": idle().state_dict()}, file)
    return file
