"""The networks compute what the official ones compute, for seeded weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.archs import RRDBNet, SRVGGNetCompact

SR_NETWORKS = (
    "RealESRGAN_x4plus",
    "RealESRGAN_x2plus",
    "RealESRGAN_x4plus_anime_6B",
    "realesr-general-x4v3",
    "realesr-general-wdn-x4v3",
    "realesr-animevideov3",
)
ARCHS = {"RRDBNet": RRDBNet, "SRVGGNetCompact": SRVGGNetCompact}


def build(row: dict[str, Any], weights: dict[str, Any]) -> nn.Module:
    network = ARCHS[row["arch"]](**row["arguments"])
    network.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()}, strict=True)
    return network.eval()


def as_input(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1).unsqueeze(0).contiguous().float() / 255


@pytest.mark.parametrize("name", SR_NETWORKS)
def test_a_network_has_exactly_the_official_keys_and_shapes(name, layouts):
    row = layouts[name]
    with torch.device("meta"):
        network = ARCHS[row["arch"]](**row["arguments"])
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == row["keys"]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", SR_NETWORKS)
@torch.inference_mode()
def test_a_network_reproduces_its_golden(name, memory_format, shared: Path, layouts, seeded_weights):
    golden = np.load(shared / "goldens" / "networks" / f"{name}.npz")
    network = build(layouts[name], seeded_weights(name)).to(memory_format=memory_format)
    lq = as_input(golden["input_rgb"]).to(memory_format=memory_format)
    before = lq.clone()
    sr = network(lq)[0]
    torch.testing.assert_close(sr, torch.from_numpy(golden["output"]), atol=2e-5, rtol=0)
    assert torch.equal(lq, before), "the input was changed"


@pytest.mark.parametrize("name", ["RealESRGAN_x4plus_anime_6B", "realesr-animevideov3"])
@torch.inference_mode()
def test_bfloat16_stays_above_40_db_of_float32(name, shared: Path, layouts, seeded_weights):
    golden = np.load(shared / "goldens" / "networks" / f"{name}.npz")
    network = build(layouts[name], seeded_weights(name)).to(torch.bfloat16, memory_format=torch.channels_last)
    sr = network(as_input(golden["input_rgb"]).to(torch.bfloat16, memory_format=torch.channels_last))[0]
    error = sr.float() - torch.from_numpy(golden["output"])
    assert sr.dtype is torch.bfloat16
    assert -10 * torch.log10(error.square().mean()) > 40


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 12)])
@torch.inference_mode()
def test_rrdbnet_enlarges_by_its_scale(scale, height, width):
    network = RRDBNet(scale=scale, num_feat=4, num_block=1, num_grow_ch=2).eval()
    assert network(torch.rand(2, 3, height, width)).shape == (2, 3, height * scale, width * scale)
    assert network.scale == scale


@torch.inference_mode()
def test_batched_pictures_do_not_influence_each_other():
    torch.manual_seed(1)
    network = RRDBNet(num_feat=8, num_block=2, num_grow_ch=4).eval()
    batch = torch.rand(3, 3, 9, 7)
    alone = torch.cat([network(picture.unsqueeze(0)) for picture in batch])
    torch.testing.assert_close(network(batch), alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("act_type", "keys_per_conv"), [("prelu", 3), ("relu", 2), ("leakyrelu", 2)])
def test_srvgg_activations_decide_which_keys_there_are(act_type, keys_per_conv):
    network = SRVGGNetCompact(num_feat=4, num_conv=3, upscale=2, act_type=act_type)
    assert len(network.state_dict()) == 4 * keys_per_conv + 2


@torch.inference_mode()
def test_a_silent_srvgg_is_nearest_neighbour():
    network = SRVGGNetCompact(num_feat=4, num_conv=1, upscale=3)
    for parameter in network.parameters():
        parameter.zero_()
    lq = torch.rand(1, 3, 5, 4)
    assert torch.equal(network(lq), lq.repeat_interleave(3, 2).repeat_interleave(3, 3))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RRDBNet(scale=3), "1, 2 or 4 times, not 3"),
        (lambda: SRVGGNetCompact(act_type="swish"), "not 'swish'"),
        (lambda: SRVGGNetCompact(num_in_ch=1), "1 in, 3 out"),
    ],
)
def test_impossible_arguments_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
