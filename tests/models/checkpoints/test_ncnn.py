"""ncnn models are read exactly, proven by running their graph, and refused when anything is off.

The writer beside this file is the independent oracle.
"""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch

from models.archs import RRDBNet
from models.checkpoints.ncnn import parse_param, read_ncnn
from models.checkpoints.ncnn_graph import import_layers
from models.checkpoints.state_dicts import build_network, detect_architecture
from models.errors import WeightsMissing, WeightsRefused
from tests.models.checkpoints.ncnn_writer import write_rrdbnet, write_srvgg


@pytest.fixture
def small_rrdbnet():
    torch.manual_seed(3)
    return RRDBNet(num_feat=6, num_block=2, num_grow_ch=3).state_dict()


def imported(files):
    return import_layers(read_ncnn(*files))


def assert_read_back(state, found, *, half: bool):
    assert found.keys() == state.keys()
    for key, tensor in state.items():
        rounded = tensor.half() if half and tensor.ndim == 4 else tensor
        assert torch.equal(found[key], rounded), key


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", ["realesr-animevideov3", "realesr-general-x4v3"])
def test_a_compact_network_comes_back_bit_for_bit(tmp_path, seeded_weights, name, half):
    state = {key: torch.from_numpy(value) for key, value in seeded_weights(name).items()}
    assert_read_back(state, imported(write_srvgg(state, scale=4, half=half).write(tmp_path)), half=half)


@pytest.mark.parametrize("half", [False, True])
def test_a_dense_network_comes_back_bit_for_bit(tmp_path, seeded_weights, half):
    state = {key: torch.from_numpy(value) for key, value in seeded_weights("RealESRGAN_x4plus_anime_6B").items()}
    assert_read_back(state, imported(write_rrdbnet(state, blocks=6, half=half).write(tmp_path)), half=half)


def test_an_odd_number_of_half_weights_is_padded_to_four_bytes(tmp_path):
    from models.checkpoints.architecture import Architecture

    torch.manual_seed(1)
    arguments = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 5, "num_conv": 1, "upscale": 1, "act_type": "prelu"}
    state = build_network(Architecture(name="SRVGGNetCompact", arguments=arguments)).state_dict()
    assert state["body.0.weight"].numel() % 2 == 1
    assert_read_back(state, imported(write_srvgg(state, scale=1, half=True).write(tmp_path)), half=True)


def test_a_dense_network_of_any_size_is_read(tmp_path, small_rrdbnet):
    assert_read_back(small_rrdbnet, imported(write_rrdbnet(small_rrdbnet, blocks=2).write(tmp_path)), half=False)


@pytest.mark.parametrize("cut", [1, 4, 100, 1000])
def test_a_bin_cut_short_is_refused(tmp_path, small_rrdbnet, cut):
    param, weights = write_rrdbnet(small_rrdbnet, blocks=2).write(tmp_path)
    weights.write_bytes(weights.read_bytes()[:-cut])
    with pytest.raises(WeightsRefused, match="is cut short"):
        imported((param, weights))


def test_bytes_to_spare_are_refused(tmp_path, small_rrdbnet):
    param, weights = write_rrdbnet(small_rrdbnet, blocks=2).write(tmp_path)
    weights.write_bytes(weights.read_bytes() + b"\0" * 4)
    with pytest.raises(WeightsRefused, match="4 bytes more"):
        imported((param, weights))


@pytest.mark.parametrize(
    ("flag", "words"), [(0x000D4B38, "quantised to int8"), (0x12345678, "unknown way"), (0x0002C056, "unknown")]
)
def test_other_storage_than_float_is_refused_by_name(tmp_path, small_rrdbnet, flag, words):
    param, weights = write_rrdbnet(small_rrdbnet, blocks=2).write(tmp_path)
    weights.write_bytes(struct.pack("<I", flag) + weights.read_bytes()[4:])
    with pytest.raises(WeightsRefused, match=words):
        imported((param, weights))


@pytest.mark.parametrize("size", [10**12, 2**31, 64 * 9 * 10**6])
def test_a_size_that_lies_allocates_nothing(tmp_path, size):
    param, weights = tmp_path / "a.param", tmp_path / "a.bin"
    param.write_text(f"7767517\n2 2\nInput i 0 1 data\nConvolution c 1 1 data out 0=64 1=3 4=1 5=1 6={size}\n")
    weights.write_bytes(bytes(64))
    with pytest.raises(WeightsRefused):
        imported((param, weights))


@pytest.mark.parametrize("slope", ["9=2 -23310=1,1.000000e-01", "9=1", "", "9=4"])
def test_a_graph_with_another_activation_is_not_taken_for_an_rrdbnet(tmp_path, small_rrdbnet, slope):
    files = write_rrdbnet(small_rrdbnet, blocks=2, slope=slope).write(tmp_path)
    with pytest.raises(WeightsRefused, match=r"something other|cannot be computed"):
        imported(files)


def test_a_graph_wired_in_another_way_is_refused(tmp_path, small_rrdbnet):
    param, weights = write_rrdbnet(small_rrdbnet, blocks=2).write(tmp_path)
    text = param.read_text()
    assert text.count("2.0e-01,1.0e+00") == 6
    param.write_text(text.replace("2.0e-01,1.0e+00", "1.0e+00,1.0e+00", 1))
    with pytest.raises(WeightsRefused, match="something other"):
        imported((param, weights))


def test_a_graph_that_resizes_its_result_is_refused(tmp_path, tiny):
    writer = write_srvgg(tiny[1], scale=2)
    writer.layer("Interp", "0=2 1=5.0e-01 2=5.0e-01")
    with pytest.raises(WeightsRefused, match=r"8 px into 8, .* makes 16"):
        imported(writer.write(tmp_path))


@pytest.mark.parametrize("factor", ["1.0e+05", "1e308", "nan", "inf", "-2", "0"])
def test_a_graph_that_would_fill_the_memory_is_refused(tmp_path, tiny, factor):
    writer = write_srvgg(tiny[1], scale=2)
    writer.layer("Interp", f"0=1 1={factor} 2={factor}")
    with pytest.raises(WeightsRefused, match=r"numbers from a picture|cannot be computed"):
        imported(writer.write(tmp_path))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_spoiled_weights_are_refused(tmp_path, tiny, number):
    tiny[1]["body.0.weight"][0, 0, 0, 0] = number
    with pytest.raises(WeightsRefused, match="spoiled"):
        imported(write_srvgg(tiny[1], scale=2).write(tmp_path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not start with 7767517"),
        ("7767518\n1 1\n", "does not start"),
        ("7767517\n", "damaged"),
        ("7767517\nmany blobs\n", "damaged"),
        ("7767517\n3 3\nInput i 0 1 data\n", "3 layers announced, 1 there"),
        ("7767517\n1 1\nInput i 0\n", "damaged"),
        ("7767517\n1 1\nInput i 0 900 data\n", "announces 0 inputs and 900"),
        ("7767517\n1 1\nInput i -1 1 data\n", "announces -1 inputs"),
        ("7767517\n1 1\nConvolution c 1 1 data out 0\n", "damaged"),
        ("7767517\n1 1\nConvolution c 1 1 data out 0=a\n", "damaged"),
        ("7767517\n1 1\nConvolution c 1 1 data out -23310=5,1.0\n", "announces 5 values"),
        ("7767517\n1 1\nInnerProduct fc 1 1 data out 0=9\n", "fc is a InnerProduct"),
        ("\x00\xff" * 90, "does not start"),
    ],
)
def test_text_that_is_no_graph_is_refused(text, words):
    with pytest.raises(WeightsRefused, match=words):
        parse_param(text)


@pytest.mark.parametrize(
    "params",
    [
        "0=4 1=5 4=1 5=1 6=108",
        "0=4 1=3 11=5 4=1 5=1 6=108",
        "0=4 1=3 4=0 5=1 6=108",
        "0=4 1=3 4=1 5=0 6=108",
        "0=4 1=3 3=2 4=1 5=1 6=108",
        "0=4 1=3 2=2 4=1 5=1 6=108",
        "0=4 1=3 4=1 5=1 6=107",
        "0=0 1=3 4=1 5=1 6=108",
        "0=nan 1=3 4=1 5=1 6=108",
        "0=inf 1=3 4=1 5=1 6=108",
        "0=4 1=3 4=1 5=1 6=-108",
        "0=4 1=3 4=1 5=1 6=108 8=1",
        "0=4 -23301=1,3 4=1 5=1 6=108",
    ],
)
def test_a_convolution_of_another_kind_is_refused(tmp_path, params):
    (tmp_path / "a.param").write_text(f"7767517\n2 2\nInput i 0 1 data\nConvolution c 1 1 data out {params}\n")
    (tmp_path / "a.bin").write_bytes(bytes(10_000))
    with pytest.raises(WeightsRefused):
        read_ncnn(tmp_path / "a.param", tmp_path / "a.bin")


@pytest.mark.parametrize("seed", range(60))
def test_a_graph_with_changed_characters_is_read_or_refused_but_never_a_foreign_error(tmp_path, tiny, seed):
    param, weights = write_srvgg(tiny[1], scale=2).write(tmp_path)
    text, random = list(param.read_text()), np.random.default_rng(seed)
    for position in random.integers(8, len(text), 3):
        text[position] = chr(random.integers(32, 127))
    param.write_text("".join(text))
    try:
        state = imported((param, weights))
    except WeightsRefused:
        return
    assert detect_architecture(state) == tiny[0], "accepted as something else than it is"


def test_missing_files_are_missing(tmp_path, tiny):
    param, weights = write_srvgg(tiny[1], scale=2).write(tmp_path)
    weights.unlink()
    with pytest.raises(WeightsMissing, match=r"net\.bin"):
        imported((param, weights))
