"""Checkpoint files are trusted with nothing, and the official ones are read as their loaders read them."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.archs import RRDBNet, SRVGGNetCompact
from models.checkpoints.architecture import Architecture, detect_architecture
from models.checkpoints.state_dicts import build_network, interpolate, load_network, load_state_dict
from models.errors import OptionsError, WeightsMissing, WeightsRefused
from models.registry import MODELS

SMALL_GFPGAN = Architecture(
    name="GFPGANv1Clean",
    arguments={"out_size": 64, "num_style_feat": 8, "num_mlp": 2, "num_feat": 8, "channel_multiplier": 1},
)


def as_tensors(arrays):
    return {key: torch.from_numpy(value) for key, value in arrays.items()}


def assert_same(first, second):
    assert first.keys() == second.keys()
    for key, tensor in first.items():
        assert torch.equal(tensor, second[key]), key


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapper", ["params_ema", "params", None])
def test_every_official_wrapping_is_undone(tmp_path: Path, tiny, wrapper, prefix, zipped):
    _, state = tiny
    prefixed = {prefix + key: tensor for key, tensor in state.items()}
    content = {wrapper: prefixed} if wrapper else prefixed
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert_same(load_state_dict(tmp_path / "a.pth"), state)


def test_the_averaged_weights_win_over_the_last_ones(tmp_path: Path, tiny):
    _, state = tiny
    last = {key: tensor + 1 for key, tensor in state.items()}
    torch.save({"params": last, "params_ema": state}, tmp_path / "a.pth")
    assert_same(load_state_dict(tmp_path / "a.pth"), state)


def test_safetensors_are_read(tmp_path: Path, tiny):
    _, state = tiny
    save_file(state, tmp_path / "a.safetensors")
    assert_same(load_state_dict(tmp_path / "a.safetensors"), state)


@pytest.mark.parametrize("name", ["realesr-animevideov3.pth", "upscayl-lite-4x.pth"])
def test_real_files_of_mixed_precision_load_into_float32(shared: Path, name):
    state = load_state_dict(shared / "weights" / name)
    assert torch.float16 in {tensor.dtype for tensor in state.values()}
    network = load_network(detect_architecture(state), state)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert_same({key: tensor.float() for key, tensor in state.items()}, network.state_dict())


NUMBERED = {
    "conv_first": "model.0",
    "conv_body": "model.1.sub.2",
    "conv_up1": "model.3",
    "conv_up2": "model.6",
    "conv_hr": "model.8",
    "conv_last": "model.10",
}
WORDED = {"conv_body": "trunk_conv", "conv_up1": "upconv1", "conv_up2": "upconv2", "conv_hr": "HRconv"}


def in_esrgans_words(key: str, *, numbered: bool) -> str:
    stem, leaf = key.rsplit(".", 1)
    trunk, inner = ("model.1.sub", ".0") if numbered else ("RRDB_trunk", "")
    if stem.startswith("body."):
        return stem.replace("body", trunk).replace("rdb", "RDB") + f"{inner}.{leaf}"
    return f"{(NUMBERED if numbered else WORDED).get(stem, stem)}.{leaf}"


@pytest.mark.parametrize("numbered", [True, False])
def test_models_trained_with_esrgans_own_code_are_read_under_the_official_names(tmp_path: Path, numbered):
    state = RRDBNet(num_feat=6, num_block=2, num_grow_ch=3).state_dict()
    older = {in_esrgans_words(key, numbered=numbered): tensor for key, tensor in state.items()}
    assert len(older) == len(state)
    assert not {key for key in older if key.startswith("body")}
    torch.save(older, tmp_path / "a.pth")
    assert_same(load_state_dict(tmp_path / "a.pth"), state)


def test_an_older_model_with_fewer_layers_is_refused_not_guessed(tmp_path: Path):
    state = RRDBNet(num_feat=6, num_block=2, num_grow_ch=3).state_dict()
    older = {in_esrgans_words(key, numbered=False): value for key, value in state.items() if "up2" not in key}
    torch.save(older, tmp_path / "a.pth")
    found = load_state_dict(tmp_path / "a.pth")
    with pytest.raises(WeightsRefused, match=r"2 missing \(conv_up2\.bias, conv_up2\.weight\)"):
        load_network(detect_architecture(found), found)


class _Touch:
    """Unpickling this creates a file: what a hostile checkpoint could do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path, zipped):
    trap = tmp_path / "trap"
    torch.save({"params": _Touch(trap)}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsRefused, match="would run code") as refusal:
        load_state_dict(tmp_path / "a.pth")
    assert "\n" not in str(refusal.value)
    assert not trap.exists()
    torch.load(tmp_path / "a.pth", weights_only=False)
    assert trap.exists(), "the trap would not have worked at all"


def test_a_bare_pickle_that_runs_code_does_not_run(tmp_path: Path):
    trap = tmp_path / "trap"
    (tmp_path / "a.pth").write_bytes(pickle.dumps(_Touch(trap)))
    with pytest.raises(WeightsRefused):
        load_state_dict(tmp_path / "a.pth")
    assert not trap.exists()


@pytest.mark.parametrize("kept", [0, 1, 2, 7, 100, 1000, -1, -30, -400])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_truncated_file_is_refused(tmp_path: Path, tiny, suffix, kept):
    path = tmp_path / f"a{suffix}"
    if suffix == ".pth":
        torch.save(tiny[1], path)
    else:
        save_file(tiny[1], path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsRefused, match=r"a\.(pth|safetensors)"):
        load_state_dict(path)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".safetensors"])
@pytest.mark.parametrize("seed", range(5))
def test_noise_is_refused(tmp_path: Path, suffix, seed):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(np.random.default_rng(seed).bytes(4000))
    with pytest.raises(WeightsRefused, match="a"):
        load_state_dict(path)


@pytest.mark.parametrize("seed", range(40))
def test_a_file_with_flipped_bytes_is_refused_or_read_but_never_a_foreign_error(tmp_path: Path, tiny, seed):
    torch.save({"params": tiny[1]}, tmp_path / "a.pth")
    content = bytearray((tmp_path / "a.pth").read_bytes())
    random = np.random.default_rng(seed)
    for position in random.integers(0, len(content), 12):
        content[position] = random.integers(256)
    (tmp_path / "a.pth").write_bytes(content)
    with contextlib.suppress(WeightsRefused):
        state = load_state_dict(tmp_path / "a.pth")
        assert all(isinstance(tensor, torch.Tensor) for tensor in state.values())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "no tensor"),
        ({"params": {}}, "no tensor"),
        ([torch.zeros(1)], "a list, not a dict"),
        (torch.zeros(3), "a Tensor, not a dict"),
        ({"epoch": 3, "state": {}}, "'epoch' is a int"),
        ({"params": {"w": [1.0]}}, "'w' is a list"),
        ({"params": {1: torch.zeros(1)}}, "'1' is a Tensor"),
        ({"w": torch.zeros(3, 3).to_sparse()}, "'w' is a Tensor, not a plain"),
        ({"w": torch.zeros(1), "module.w": torch.zeros(1)}, "both with and without"),
    ],
)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_something_other_than_a_state_dict_is_refused(tmp_path: Path, content, words):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WeightsRefused, match=words):
        load_state_dict(tmp_path / "a.pth")


def test_a_view_that_claims_terabytes_is_refused_at_once(tmp_path: Path):
    torch.save({"params": {"w": torch.zeros(1).expand(10**6, 10**6)}}, tmp_path / "a.pth")
    assert (tmp_path / "a.pth").stat().st_size < 5000
    with pytest.raises(WeightsRefused, match="claims 4,000,000,000,000 bytes"):
        load_state_dict(tmp_path / "a.pth")


def test_an_archive_that_unpacks_to_much_more_is_refused_unread(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(50 << 20))
        archive.writestr("a/version", "3")
    started = time.process_time()
    with pytest.raises(WeightsRefused, match="is compressed"):
        load_state_dict(tmp_path / "a.pth")
    assert time.process_time() - started < 0.5


def test_a_safetensors_header_that_lies_about_its_length_is_refused(tmp_path: Path):
    (tmp_path / "a.safetensors").write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    with pytest.raises(WeightsRefused, match="damaged"):
        load_state_dict(tmp_path / "a.safetensors")


def test_a_missing_file_is_missing_and_a_strange_one_refused(tmp_path: Path):
    with pytest.raises(WeightsMissing, match="is not there"):
        load_state_dict(tmp_path / "a.pth")
    (tmp_path / "a.onnx").write_bytes(b"x")
    with pytest.raises(WeightsRefused, match=r"\.safetensors files"):
        load_state_dict(tmp_path / "a.onnx")


OFFICIAL = {name for name, spec in MODELS.items() if spec.role == "upsampler" and not spec.is_shipped}


@pytest.mark.parametrize("name", sorted(OFFICIAL - {"RealESRNet_x4plus"}))
def test_an_official_layout_is_recognised_and_loaded(name, seeded_weights):
    state = as_tensors(seeded_weights(name))
    assert detect_architecture(state) == MODELS[name].architecture
    network = load_network(MODELS[name], state)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert_same(state, network.state_dict())


@dataclass(frozen=True)
class Shape:
    """All that recognising a layout asks of a tensor."""

    shape: tuple[int, ...]


@pytest.mark.parametrize(
    "name", ["GFPGANv1.3", "GFPGANv1.4", "detection_mobilenet0.25_Final", "detection_Resnet50_Final"]
)
def test_an_official_layout_for_faces_is_recognised_by_its_shapes(name, layouts):
    shapes = {key.removeprefix("module."): Shape(tuple(shape)) for key, shape in layouts[name]["keys"].items()}
    assert detect_architecture(shapes) == MODELS[name].architecture


@pytest.mark.parametrize("architecture", [MODELS["parsing_bisenet"].architecture, SMALL_GFPGAN], ids=str)
def test_a_layout_for_faces_is_recognised_and_loaded(architecture):
    state = build_network(architecture).state_dict()
    assert detect_architecture(state) == architecture
    network = load_network(detect_architecture(state), state)
    assert_same(state, network.state_dict())


def test_a_detector_is_loaded_with_its_counters(seeded_weights):
    name = "detection_mobilenet0.25_Final"
    state = as_tensors(seeded_weights(name)) | {"body.stage1.0.1.num_batches_tracked": torch.tensor(7)}
    network = load_network(MODELS[name], state)
    assert_same(state, network.state_dict())
    assert network.state_dict()["body.stage1.0.1.num_batches_tracked"].dtype is torch.int64
    state["body.stage1.0.1.num_batches_tracked"] = torch.tensor(7.0)
    with pytest.raises(WeightsRefused, match="is float32, not whole numbers"):
        load_network(MODELS[name], state)


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ("stylegan_decoder.constant_input.weight", "whose names say 'clean'"),
        ("ClassHead.0.conv1x1.weight", "neither MobileNet 0.25 nor ResNet-50"),
        ("cp.resnet.conv1.weight", "conv_out.conv_out.weight"),
    ],
)
def test_a_part_of_a_network_for_faces_is_refused(mark, words):
    with pytest.raises(WeightsRefused, match=words):
        detect_architecture({mark: Shape((1, 512, 4, 4))})


def test_an_onnx_file_is_no_network_to_build():
    with pytest.raises(WeightsRefused, match="SFace is an ONNX file, which OpenCV runs"):
        build_network(MODELS["face_recognition_sface_2021dec"].architecture)


def test_only_what_enlarges_has_a_scale():
    assert MODELS["RealESRGAN_x2plus"].scale == 2
    with pytest.raises(WeightsRefused, match=r"RetinaFace\(backbone=resnet50\) enlarges no pictures"):
        MODELS["detection_Resnet50_Final"].scale  # noqa: B018


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_loaded_into_float32(tiny, dtype):
    architecture, state = tiny
    network = load_network(architecture, {key: tensor.to(dtype) for key, tensor in state.items()})
    assert_same({key: tensor.to(dtype).float() for key, tensor in state.items()}, network.state_dict())


def test_weights_of_another_model_are_refused_with_its_name(seeded_weights):
    state = as_tensors(seeded_weights("RealESRGAN_x2plus"))
    with pytest.raises(WeightsRefused) as refusal:
        load_network(MODELS["RealESRGAN_x4plus"], state)
    assert str(refusal.value) == (
        "does not fit RealESRGAN_x4plus: 1 of wrong shape (conv_first.weight (64, 12, 3, 3) instead of "
        "(64, 3, 3, 3)); this looks like RealESRGAN_x2plus"
    )


def test_missing_and_unexpected_keys_are_counted_and_the_first_named(seeded_weights):
    state = as_tensors(seeded_weights("RealESRGAN_x4plus"))
    with pytest.raises(WeightsRefused, match="510 unexpected") as refusal:
        load_network(MODELS["RealESRGAN_x4plus_anime_6B"], state)
    assert len(str(refusal.value)) < 400
    anime = as_tensors(seeded_weights("RealESRGAN_x4plus_anime_6B"))
    with pytest.raises(WeightsRefused, match=r"510 missing .*looks like RealESRGAN_x4plus_anime_6B"):
        load_network(MODELS["RealESRGAN_x4plus"], anime)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_single_spoiled_number_is_found(tiny, number):
    architecture, state = tiny
    state["body.2.weight"][1, 2, 0, 1] = number
    with pytest.raises(WeightsRefused, match=r"body\.2\.weight"):
        load_network(architecture, state)


def test_integer_weights_are_refused(tiny):
    architecture, state = tiny
    state["body.2.bias"] = state["body.2.bias"].to(torch.int8)
    with pytest.raises(WeightsRefused, match=r"body\.2\.bias is int8"):
        load_network(architecture, state)


@pytest.mark.parametrize("strength", [0.0, 0.2, 0.5, 1.0])
def test_denoise_strength_is_the_share_of_the_first_network(strength):
    a, b = {"w": torch.tensor([1.0, 4.0], dtype=torch.float16)}, {"w": torch.tensor([3.0, -2.0])}
    expected = torch.tensor([3 - 2 * strength, -2 + 6 * strength])
    torch.testing.assert_close(interpolate(a, b, strength)["w"], expected)


@pytest.mark.parametrize("strength", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_strength_outside_0_to_1_is_refused(tiny, strength):
    with pytest.raises(OptionsError, match="from 0 to 1"):
        interpolate(tiny[1], tiny[1], strength)


def test_networks_of_different_layout_are_not_blended(tiny):
    _, state = tiny
    with pytest.raises(WeightsRefused, match="1 missing"):
        interpolate(state, {key: value for key, value in state.items() if key != "body.1.weight"}, 0.5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"scale": 4, "num_feat": 8, "num_block": 2, "num_grow_ch": 4, "num_in_ch": 3, "num_out_ch": 3},
        {"scale": 2, "num_feat": 6, "num_block": 1, "num_grow_ch": 3, "num_in_ch": 1, "num_out_ch": 1},
        {"scale": 1, "num_feat": 5, "num_block": 11, "num_grow_ch": 2, "num_in_ch": 3, "num_out_ch": 3},
    ],
)
def test_an_rrdbnet_of_any_size_is_recognised(arguments):
    assert detect_architecture(RRDBNet(**arguments).state_dict()) == Architecture(name="RRDBNet", arguments=arguments)


@pytest.mark.parametrize(("num_feat", "num_conv", "upscale"), [(4, 0, 1), (5, 1, 2), (8, 12, 3), (3, 7, 8)])
def test_an_srvgg_of_any_size_is_recognised(num_feat, num_conv, upscale):
    network = SRVGGNetCompact(num_feat=num_feat, num_conv=num_conv, upscale=upscale)
    found = detect_architecture(network.state_dict())
    assert found == Architecture(
        name="SRVGGNetCompact",
        arguments={
            "num_in_ch": 3,
            "num_out_ch": 3,
            "num_feat": num_feat,
            "num_conv": num_conv,
            "upscale": upscale,
            "act_type": "prelu",
        },
    )
    assert Architecture.from_json(found.to_json()) == found
    assert found.scale == upscale


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"encoder.weight": (3, 3)},
        {"conv_first.weight": (64, 7, 3, 3), "conv_last.weight": (3, 64, 3, 3)},
        {"conv_first.weight": (), "conv_last.weight": ()},
        {"conv_first.weight": (0, 0), "conv_last.weight": (0,)},
        {"conv_first.weight": (64, 3, 3, 3), "conv_last.weight": (3, 64, 3, 3)},
        {"body.0.weight": (64, 3, 3, 3)},
        {"body.0.weight": (64, 0, 3, 3), "body.1.weight": (64,), "body.2.weight": (4, 64, 3, 3)},
        {"body.0.weight": (64, 3, 3, 3), "body.2.weight": (48, 64, 3, 3)},
        {"body.0.weight": (64, 3, 3, 3), "body.1.weight": (64,), "body.2.weight": (50, 64, 3, 3)},
    ],
)
def test_an_unknown_layout_is_refused(shapes):
    state = {key: torch.zeros(shape, device="meta") for key, shape in shapes.items()}
    with pytest.raises(WeightsRefused):
        load_network(detect_architecture(state), state)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '{"name": "os"}',
        '{"name": "RRDBNet", "arguments": []}',
        '{"name": "Module", "arguments": {}}',
        '{"name": "RRDBNet", "arguments": {"num_block": 1000000000}}',
        '{"name": "RRDBNet", "arguments": {"num_block": null}}',
    ],
)
def test_a_description_of_no_network_is_refused(text):
    with pytest.raises(WeightsRefused):
        Architecture.from_json(text)


def test_the_file_need_not_stay_readable_as_a_stream(tmp_path: Path, tiny):
    # torch maps the file into memory: a caller may remove it after loading, as a download does.
    buffer = io.BytesIO()
    torch.save(tiny[1], buffer)
    (tmp_path / "a.pth").write_bytes(buffer.getvalue())
    state = load_state_dict(tmp_path / "a.pth")
    (tmp_path / "a.pth").unlink()
    assert_same(state, tiny[1])
