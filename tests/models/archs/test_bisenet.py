"""BiSeNet keeps to its key layout and its sizes. No result of the original was at hand to compare with."""

from __future__ import annotations

import pytest
import torch

from models.archs.bisenet import LABELS, BiSeNet, normalised

OFFICIAL_BYTES = 53_289_463  # of parsing_bisenet.pth, the pickle around the tensors included


@pytest.fixture(scope="module")
def network() -> BiSeNet:
    torch.manual_seed(5)
    made = BiSeNet()
    for name, buffer in made.named_buffers():  # statistics that show whether they are used
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
        elif name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
    return made.eval().requires_grad_(requires_grad=False)


def keys_of(stem: str, kind: str) -> set[str]:
    if kind == "conv":
        return {f"{stem}.weight"}
    leaves = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    return {f"{stem}.{leaf}" for leaf in leaves}


def expected_keys() -> set[str]:
    """The layout, from the names of the original's modules."""
    convs, norms = {"cp.resnet.conv1"}, {"cp.resnet.bn1"}
    for stage in range(1, 5):
        for block in range(2):
            for number in (1, 2):
                convs.add(f"cp.resnet.layer{stage}.{block}.conv{number}")
                norms.add(f"cp.resnet.layer{stage}.{block}.bn{number}")
        if stage > 1:
            convs.add(f"cp.resnet.layer{stage}.0.downsample.0")
            norms.add(f"cp.resnet.layer{stage}.0.downsample.1")
    blocks = ["cp.conv_head32", "cp.conv_head16", "cp.conv_avg", "ffm.convblk"]
    for size in (16, 32):
        blocks.append(f"cp.arm{size}.conv")
        convs.add(f"cp.arm{size}.conv_atten")
        norms.add(f"cp.arm{size}.bn_atten")
    for head in ("conv_out", "conv_out16", "conv_out32"):
        blocks.append(f"{head}.conv")
        convs.add(f"{head}.conv_out")
    convs |= {f"{block}.conv" for block in blocks} | {"ffm.conv1", "ffm.conv2"}
    norms |= {f"{block}.bn" for block in blocks}
    return set().union(*(keys_of(stem, "conv") for stem in convs), *(keys_of(stem, "norm") for stem in norms))


def test_it_has_exactly_the_keys_of_the_original(network):
    assert set(network.state_dict()) == expected_keys()
    assert len(expected_keys()) == 191


def test_its_tensors_come_to_the_size_of_the_official_file(network):
    stored = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    assert 0 < OFFICIAL_BYTES - stored < 40_000  # names, shapes and a header: some 200 bytes for each of 191 tensors


@pytest.mark.parametrize(("height", "width"), [(64, 64), (70, 101), (33, 32)])
@torch.inference_mode()
def test_every_pixel_gets_a_score_for_every_label(network, height, width):
    batch = torch.rand(2, 3, height, width)
    given = batch.clone()
    scores = network(normalised(batch))
    assert scores.shape == (2, len(LABELS), height, width)
    assert scores.isfinite().all()
    assert torch.equal(batch, given)
    torch.testing.assert_close(scores[1:], network(normalised(batch[1:])), atol=1e-4, rtol=1e-4)
    assert torch.equal(scores, network(normalised(batch)))


@torch.inference_mode()
def test_it_sees_where_something_is(network):
    batch = torch.zeros(2, 3, 128, 128)
    batch[1, :, :32, :32] = 1
    first, second = network(normalised(batch))
    changed = (first - second).abs().mean(0)
    assert changed[:32, :32].mean() > 1.5 * changed[-32:, -32:].mean()


def test_pictures_are_normalised_as_the_backbone_was_trained():
    gray = torch.full((1, 3, 1, 1), 0.5)
    assert normalised(gray).flatten().tolist() == pytest.approx([0.0655, 0.1964, 0.4178], abs=1e-4)


def test_the_labels_are_those_of_celebamask_hq():
    assert len(LABELS) == 19
    assert (LABELS[1], LABELS[10], LABELS[17]) == ("skin", "nose", "hair")
