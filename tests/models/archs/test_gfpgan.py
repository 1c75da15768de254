"""GFPGAN computes what the official network computes with stored noise, for seeded weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from models.archs.gfpgan import GFPGANv1Clean
from models.archs.stylegan2_clean import ModulatedConv2d

VERSIONS = ("GFPGANv1.3", "GFPGANv1.4")
TOLERANCE = 3e-5


def filled(state: dict[str, Any]) -> GFPGANv1Clean:
    with torch.device("meta"):
        network = GFPGANv1Clean()
    network.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()}, strict=True, assign=True)
    return network.eval().requires_grad_(requires_grad=False)


def small(*, seed: int = 0, **arguments: int) -> GFPGANv1Clean:
    """The same network for faces of 32 px, with noise and biases that show."""
    torch.manual_seed(seed)
    network = GFPGANv1Clean(**{"out_size": 32, "num_style_feat": 16, "num_mlp": 2, "num_feat": 16} | arguments)
    for name, parameter in network.stylegan_decoder.named_parameters():
        if name.endswith("weight") and parameter.shape == (1,):
            nn.init.constant_(parameter, 0.1)
    return network.eval().requires_grad_(requires_grad=False)


def faces(count: int, side: int = 32) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


@contextmanager
def watching(network: nn.Module, *names: str) -> Iterator[dict[str, Tensor]]:
    """What these modules gave in the last forward."""
    seen: dict[str, Tensor] = {}

    def note(name: str) -> Any:
        return lambda _module, _given, made: seen.__setitem__(name, made)

    handles = [network.get_submodule(name).register_forward_hook(note(name)) for name in names]
    yield seen
    for handle in handles:
        handle.remove()


@pytest.fixture(scope="module", params=VERSIONS)
def official(request: pytest.FixtureRequest, seeded_weights: Any) -> tuple[str, dict[str, Any]]:
    """Name and seeded weights, one version at a time: each is 350 MB."""
    return request.param, seeded_weights(request.param)


@pytest.fixture(scope="module")
def golden_face(shared: Path) -> Tensor:
    """The aligned face of the goldens, (1, 3, 512, 512) in [-1, 1]."""
    with Image.open(shared / "goldens" / "networks" / "gfpgan_input.png") as picture:
        pixels = np.array(picture.convert("RGB"))
    return (torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0).float() / 255 - 0.5) / 0.5


@pytest.mark.parametrize("name", VERSIONS)
def test_it_has_exactly_the_official_keys_and_shapes(name, layouts):
    with torch.device("meta"):
        network = GFPGANv1Clean()
    found = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert found == layouts[name]["keys"]
    assert len(found) == 285


@pytest.mark.timeout(600)  # 3 s of work, and more than that to make the weights; machines may be busy
@torch.inference_mode()
def test_it_reproduces_its_golden_inside_and_out(official, shared: Path, golden_face):
    name, weights = official
    golden = np.load(shared / "goldens" / "networks" / f"{name}.npz")
    network = filled(weights).to(memory_format=torch.channels_last)
    conditions = [f"condition_{kind}.{level}" for level in range(7) for kind in ("scale", "shift")]
    levels = [f"conv_body_up.{level}" for level in range(7)]
    before = golden_face.clone()
    with watching(network, "final_linear", *conditions, *levels) as inside:
        restored = network(golden_face.to(memory_format=torch.channels_last))[0]
    assert torch.equal(golden_face, before), "the input was changed"

    def check(what: str, found: Tensor) -> None:
        expected = torch.from_numpy(golden[what])
        torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0, msg=lambda text: f"{what}: {text}")

    check("style_code", inside["final_linear"][0])
    check("condition_mean_std", torch.stack([torch.stack((inside[c].mean(), inside[c].std())) for c in conditions]))
    for number, level in enumerate(levels):
        thumbnail = network.toRGB[number](inside[level])[0]
        step = max(1, thumbnail.shape[-1] // 16)
        check(f"rgb{number}_every", thumbnail[:, ::step, ::step])
    check("output_patch", restored[:, 200:232, 240:272])
    check("output_every8", restored[:, ::8, ::8])
    check("channel_mean", restored.mean((1, 2)))
    check("channel_std", restored.std((1, 2)))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("official", ["GFPGANv1.4"], indirect=True)
@torch.inference_mode()
def test_without_noise_it_makes_the_golden_picture(official, shared: Path, golden_face):
    weights = dict(official[1])
    strengths = [key for key, value in weights.items() if key.startswith("stylegan_decoder") and value.shape == (1,)]
    assert len(strengths) == 15
    weights |= {key: np.zeros(1, np.float32) for key in strengths}
    restored = filled(weights).to(memory_format=torch.channels_last)(golden_face)[0]
    levels = ((restored.clamp(-1, 1) + 1) / 2 * 255).round().byte().permute(1, 2, 0).numpy()
    with Image.open(shared / "goldens" / "networks" / "gfpgan_v1.4_noise_strength_zero.png") as picture:
        expected = np.array(picture.convert("RGB"))
    difference = np.abs(levels.astype(int) - expected)
    # A tenth of the tolerance is a thousandth of a level: only a sample on the very edge of two can fall otherwise.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


@torch.inference_mode()
def test_the_same_faces_give_the_same_result():
    network, batch = small(), faces(2)
    assert torch.equal(network(batch), network(batch))


@torch.inference_mode()
def test_stored_noise_is_used():
    network, face = small(), faces(1)
    before = network(face)
    network.stylegan_decoder.noises.noise5 += 1
    assert (network(face) - before).abs().amax() > 1e-3


@torch.inference_mode()
def test_faces_of_a_batch_do_not_influence_each_other():
    network, batch = small(), faces(3)
    alone = torch.cat([network(face.unsqueeze(0)) for face in batch])
    torch.testing.assert_close(network(batch), alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("up", [True, False])
@torch.inference_mode()
def test_weighting_the_maps_is_weighting_the_kernel(demodulate, up):
    torch.manual_seed(3)
    conv = ModulatedConv2d(6, 5, 3, num_style_feat=4, demodulate=demodulate).double()
    features, styles = torch.randn(2, 6, 7, 8, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    given = features.clone()
    made = conv(features, styles, up=up)
    assert torch.equal(features, given), "the input was changed"
    for number in range(2):
        kernel = conv.weight * conv.modulation(styles[number])[None, :, None, None]
        if demodulate:
            kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt() * 2**0.5
        maps = features[number : number + 1]
        if up:
            maps = functional.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
        torch.testing.assert_close(made[number : number + 1], functional.conv2d(maps, kernel, padding=1))


@torch.inference_mode()
def test_a_style_of_nothing_but_zeros_is_no_division_by_zero():
    conv = ModulatedConv2d(4, 4, 3, num_style_feat=2, demodulate=True)
    conv.modulation.bias.zero_()
    assert torch.equal(conv(torch.ones(1, 4, 5, 5), torch.zeros(1, 2)), torch.zeros(1, 4, 5, 5))


@torch.inference_mode()
def test_float16_does_not_overflow_in_large_styles():
    torch.manual_seed(3)
    conv = ModulatedConv2d(64, 8, 3, num_style_feat=4, demodulate=True)
    features, styles = 20 * torch.randn(1, 64, 6, 6), 3e3 * torch.randn(1, 4)
    assert conv(features, styles).std() > 1
    assert (features * conv.modulation(styles)[..., None, None]).abs().max() > torch.finfo(torch.float16).max
    halved = conv.half()(features.half(), styles.half())
    torch.testing.assert_close(halved.float(), conv.float()(features, styles), rtol=0.02, atol=0.2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_narrow_number_formats_go_through_the_whole_network(dtype):
    face = faces(2)
    exact = small()(face)
    made = small().to(dtype, memory_format=torch.channels_last)(face.to(dtype))
    assert made.dtype is dtype
    error = (made.float() - exact) / exact.std()
    assert -10 * torch.log10(error.square().mean()) > (30 if dtype is torch.bfloat16 else 45)


@pytest.mark.parametrize(
    "shape", [(1, 3, 256, 256), (1, 3, 512, 511), (3, 512, 512), (1, 4, 512, 512), (1, 1, 512, 512)]
)
def test_other_sizes_are_refused(shape):
    with torch.device("meta"):
        network = GFPGANv1Clean()
        with pytest.raises(ValueError, match=r"have to be \(N, 3, 512, 512\), not"):
            network(torch.empty(shape))


@pytest.mark.parametrize("out_size", [0, 4, 100, 513])
def test_a_side_that_is_no_power_of_two_is_refused(out_size):
    with pytest.raises(ValueError, match=f"8 or more, not {out_size}"):
        GFPGANv1Clean(out_size=out_size)


def test_a_checkpoint_goes_in_and_comes_out_the_same():
    state = small(seed=1).state_dict()
    other = small(seed=2)
    other.load_state_dict(state, strict=True)
    assert state.keys() == other.state_dict().keys()
    assert all(torch.equal(value, state[key]) for key, value in other.state_dict().items())
    assert state["stylegan_decoder.style_conv1.modulated_conv.weight"].shape == (1, 16, 16, 3, 3)
