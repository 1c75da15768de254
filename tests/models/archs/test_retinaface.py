"""RetinaFace computes what the official network computes, for seeded and for real weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.archs.retinaface import RetinaFace
from models.checkpoints.files import load_state_dict

NETWORKS = {"detection_mobilenet0.25_Final": "mobilenet0.25", "detection_Resnet50_Final": "resnet50"}
BGR_MEAN = np.array((104, 117, 123), np.float32)


def as_input(picture_bgr: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture_bgr.astype(np.float32) - BGR_MEAN).permute(2, 0, 1).unsqueeze(0).contiguous()


@torch.inference_mode()
def assert_reproduces(golden, network: RetinaFace, size: str, tolerance: float) -> None:
    network.eval()
    images = as_input(golden[f"input_bgr_{size}"])
    before = images.clone()
    for computed, name in zip(network(images), ("loc", "conf", "landms"), strict=True):
        expected = torch.from_numpy(golden[f"{name}_{size}"]).reshape(computed.shape)
        torch.testing.assert_close(computed, expected, atol=tolerance, rtol=0, msg=lambda text, n=name: f"{n}: {text}")
    assert torch.equal(images, before), "the input was changed"


@pytest.mark.parametrize("name", NETWORKS)
def test_the_keys_and_shapes_are_the_official_ones(name, layouts):
    with torch.device("meta"):
        network = RetinaFace(NETWORKS[name])
    official = {key.removeprefix("module."): shape for key, shape in layouts[name]["keys"].items()}
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == official


@pytest.mark.parametrize("size", ["even", "odd"])
@pytest.mark.parametrize("name", NETWORKS)
def test_seeded_weights_give_the_golden(name, size, shared: Path, seeded_weights):
    network = RetinaFace(NETWORKS[name])
    weights = {key: torch.from_numpy(np.asarray(value)) for key, value in seeded_weights(name).items()}
    network.load_state_dict(weights, strict=True)
    assert_reproduces(np.load(shared / "goldens" / "networks" / f"{name}.npz"), network, size, tolerance=5e-5)


@pytest.mark.parametrize("size", ["even", "odd"])
def test_real_weights_give_the_golden(size, shared: Path):
    network = RetinaFace()
    network.load_state_dict(load_state_dict(shared / "weights" / "mobilenet0.25_Final.pth"), strict=True)
    golden = np.load(shared / "goldens" / "networks" / "retinaface_mobilenet0.25_real.npz")
    assert_reproduces(golden, network, size, tolerance=1e-4)


def test_another_backbone_is_refused_by_name():
    with pytest.raises(ValueError, match="not 'vgg'"):
        RetinaFace("vgg")  # type: ignore[arg-type]
