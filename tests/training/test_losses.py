"""What training makes small: nothing for equal pictures, known values by hand, and gradients that flow."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from training.errors import DataError
from training.losses import (
    VGG19Features,
    charbonnier,
    discriminator_loss,
    generator_loss,
    gradient_loss,
    perceptual_loss,
    spectrum_loss,
)
from training.losses.perceptual import LAYERS
from training.losses.pixels import BLOCK, EPSILON
from training.networks.discriminator import UNetDiscriminatorSN

# Convolutions of the usual checkpoint of VGG19: number in ``features``, channels in and out.
USUAL = {
    0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256), 14: (256, 256),
    16: (256, 256), 19: (256, 512), 21: (512, 512), 23: (512, 512), 25: (512, 512), 28: (512, 512), 30: (512, 512),
    32: (512, 512), 34: (512, 512),
}  # fmt: skip


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return torch.rand(2, 3, 32, 40), torch.rand(2, 3, 32, 40)


@pytest.fixture(scope="module")
def usual():
    """A state dict laid out as the usual checkpoint is, classifier and all, but with small random weights."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for number, (inputs, outputs) in USUAL.items():
        spread = math.sqrt(2 / (9 * inputs))
        state[f"features.{number}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=generator) * spread
        state[f"features.{number}.bias"] = torch.randn(outputs, generator=generator) * 0.1
    return {**state, "classifier.0.weight": torch.zeros(8, 8), "classifier.0.bias": torch.zeros(8)}


@pytest.fixture(scope="module")
def vgg_file(usual, tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save(usual, path)
    return path


@pytest.fixture(scope="module")
def vgg(vgg_file):
    return VGG19Features.read(vgg_file)


@pytest.mark.parametrize("loss", [gradient_loss, spectrum_loss])
def test_equal_pictures_are_no_distance_apart(loss, pair):
    assert float(loss(pair[0], pair[0])) == 0
    assert float(loss(*pair)) > 0.01


def test_charbonnier_is_the_absolute_difference_but_smooth_at_zero(pair):
    ours, theirs = pair
    assert float(charbonnier(ours, ours)) == pytest.approx(EPSILON)
    assert float(charbonnier(ours, theirs)) == pytest.approx(float((ours - theirs).abs().mean()), rel=0.01)
    same = ours.clone().requires_grad_()
    charbonnier(same, ours).backward()
    assert float(same.grad.abs().max()) == 0


def test_gradients_count_edges_and_not_levels():
    flat = torch.full((1, 3, 8, 8), 0.25)
    assert float(gradient_loss(flat + 0.5, flat)) == 0
    step = flat.clone()
    step[..., 4:] += 0.7  # one of seven steps across, none down
    assert float(gradient_loss(step, flat)) == pytest.approx(0.7 / 7)
    assert float(gradient_loss(step.mT, flat)) == pytest.approx(0.7 / 7)


def test_amplitudes_do_not_mind_where_a_crest_lies_nor_the_level():
    xs = torch.arange(64.0)
    wave = [(0.5 + 0.3 * torch.sin(2 * math.pi * (xs + move) / 4)).expand(1, 3, 64, 64) for move in (0, 2)]
    flat = torch.full((1, 3, 64, 64), 0.5)
    moved, smoothed = float(spectrum_loss(wave[1], wave[0])), float(spectrum_loss(flat, wave[0]))
    assert moved < 0.02 * smoothed
    assert charbonnier(wave[1], wave[0]) > 1.9 * charbonnier(flat, wave[0])  # pixels would rather have it smooth
    assert float(spectrum_loss(wave[0] + 0.2, wave[0])) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("shift", [(0, 0), (3, 5), (7, 7)])
def test_the_matrix_product_gives_the_amplitudes_of_the_fourier_transform(pair, shift):
    """The same with torch.fft: windows of 8x8 of luma, their mean out, faded to their edges; each frequency once."""
    wanted = []
    for picture in pair:
        luma = (picture * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1)
        windows = luma[:, shift[0] :, shift[1] :].unfold(1, BLOCK, BLOCK).unfold(2, BLOCK, BLOCK)
        windows = windows - windows.mean(dim=(-2, -1), keepdim=True)
        fade = torch.hann_window(BLOCK, periodic=False)
        spectra = torch.fft.fft2(windows * torch.outer(fade, fade), norm="ortho")
        wanted.append(torch.sqrt(spectra.abs().square() + EPSILON**2))
    once = torch.zeros(BLOCK, BLOCK, dtype=torch.bool)
    for v in range(BLOCK):
        for u in range(BLOCK):
            mirrored = (-v % BLOCK, -u % BLOCK)
            once[v, u] = (v, u) != (0, 0) and not once[mirrored]
    theirs = (wanted[0] - wanted[1]).abs()[..., once].mean()
    torch.testing.assert_close(spectrum_loss(*pair, shift=shift), theirs, rtol=1e-4, atol=1e-7)


def test_amplitudes_first_taken_without_gradients_can_be_learned_through_later(pair):
    from training.losses.pixels import _waves

    _waves.cache_clear()
    with torch.inference_mode():
        spectrum_loss(*pair)
    ours = pair[0].clone().requires_grad_()
    spectrum_loss(ours, pair[1]).backward()
    assert ours.grad.isfinite().all()


@pytest.mark.parametrize("loss", [charbonnier, gradient_loss, spectrum_loss])
def test_following_the_gradient_brings_pictures_nearer(loss, pair):
    ours = pair[0].clone().requires_grad_()
    before = loss(ours, pair[1])
    before.backward()
    with torch.no_grad():
        assert float(loss(ours - ours.grad * 5, pair[1])) < float(before.detach())


def test_a_discriminator_that_guesses_loses_log_2_and_one_that_knows_nothing():
    unsure, sure = torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 30.0)
    assert float(discriminator_loss(unsure, unsure)) == pytest.approx(math.log(2))
    assert float(discriminator_loss(sure, -sure)) == pytest.approx(0, abs=1e-6)
    assert float(generator_loss(sure)) == pytest.approx(0, abs=1e-6)
    assert float(generator_loss(-sure)) == pytest.approx(30)


def test_the_game_is_binary_cross_entropy():
    torch.manual_seed(0)
    real, fake = torch.randn(2, 1, 8, 8), torch.randn(2, 1, 8, 8)
    entropy = functional.binary_cross_entropy_with_logits
    theirs = (entropy(real, torch.ones_like(real)) + entropy(fake, torch.zeros_like(fake))) / 2
    torch.testing.assert_close(discriminator_loss(real, fake), theirs)
    torch.testing.assert_close(generator_loss(fake), entropy(fake, torch.ones_like(fake)))


def test_the_discriminator_judges_every_pixel_and_no_layer_of_it_is_steeper_than_one():
    torch.manual_seed(0)
    judge = UNetDiscriminatorSN(num_feat=4)
    for _ in range(30):  # each pass brings the estimate of the largest singular value nearer
        assert judge(torch.rand(2, 3, 16, 24)).shape == (2, 1, 16, 24)
    for number in range(1, 9):
        kernel = getattr(judge, f"conv{number}").weight.detach().flatten(1)
        assert float(torch.linalg.matrix_norm(kernel, 2)) == pytest.approx(1, abs=0.05)


def test_the_keys_of_the_usual_vgg19_are_ours_and_its_classifier_is_left_out(vgg, usual):
    ours = vgg.state_dict()
    assert ours.keys() == {key for key in usual if key.startswith("features.")}
    for key, value in ours.items():
        assert torch.equal(value, usual[key])
    assert not vgg.training
    assert not any(parameter.requires_grad for parameter in vgg.parameters())


def test_safetensors_will_do_as_well(usual, tmp_path):
    save_file(usual, tmp_path / "vgg19.safetensors")
    ours = VGG19Features.read(tmp_path / "vgg19.safetensors")
    assert torch.equal(ours.state_dict()["features.34.bias"], usual["features.34.bias"])


def test_features_are_those_of_a_plain_chain_before_the_relu(vgg, usual):
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 32, 32)
    maps = (picture - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        1, 3, 1, 1
    )
    wanted = []
    for number in range(35):
        if number in USUAL:
            maps = functional.conv2d(
                maps, usual[f"features.{number}.weight"], usual[f"features.{number}.bias"], padding=1
            )
            if number in LAYERS:
                wanted.append(maps)
        elif number in (4, 9, 18, 27):
            maps = functional.max_pool2d(maps, 2)
        else:
            maps = functional.relu(maps)
    for ours, theirs in zip(vgg(picture), wanted, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert [tuple(found.shape[1:]) for found in wanted] == [
        (64, 32, 32),
        (128, 16, 16),
        (256, 8, 8),
        (512, 4, 4),
        (512, 2, 2),
    ]


def test_equal_pictures_are_no_perceptual_distance_apart_and_others_are(vgg, pair):
    assert float(perceptual_loss(vgg, pair[0], pair[0])) == 0
    ours = pair[0].clone().requires_grad_()
    distance = perceptual_loss(vgg, ours, pair[1])
    distance.backward()
    assert float(distance.detach()) > 0.1
    assert float(ours.grad.abs().sum()) > 0


def test_a_file_of_another_network_or_none_is_refused(usual, tmp_path):
    path = tmp_path / "half.pth"
    torch.save({key: value for key, value in usual.items() if not key.startswith("features.34")}, path)
    with pytest.raises(DataError, match=r"half\.pth does not hold the features of VGG19: .*features\.34\.weight"):
        VGG19Features.read(path)
    torch.save({**usual, "features.0.weight": torch.zeros(64, 3, 5, 5)}, path)
    with pytest.raises(DataError, match=r"half\.pth does not hold the features of VGG19"):
        VGG19Features.read(path)
    with pytest.raises(DataError, match=r"nowhere\.pth does not hold the features of VGG19"):
        VGG19Features.read(tmp_path / "nowhere.pth")


def test_a_run_can_learn_from_features(trainer, vgg_file, tmp_path):
    settings = {"losses__perceptual": 0.1, "losses__vgg19": str(vgg_file), "train__steps": 3, "train__log_every": 1}
    run = trainer(**settings)
    with_features = run.loss(run.state.network, range(1))
    run.run()
    head, *lines = (tmp_path / "run" / "log.csv").read_text().splitlines()
    figures = [dict(zip(head.split(","), line.split(","), strict=True)) for line in lines]
    assert all(float(each["perceptual"]) > 0 for each in figures)
    assert with_features == pytest.approx(float(figures[0]["loss"]), rel=0.05)  # bfloat16 or not
    assert not any(name.startswith("vgg") for name in run.state.parts())
