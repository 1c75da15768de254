"""Weights for faces live in the same folder, and none is ever taken for a model that enlarges pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from models.archs import GFPGANv1Clean, RetinaFace
from models.checkpoints.architecture import Architecture
from models.choosing import names_here
from models.cli import main
from models.engine.device import pick_engine
from models.errors import OptionsError, WeightsMissing, WeightsRefused, WeightsUnavailable
from models.faces.finding import FaceFinder, installed
from models.loading import load_face_network, load_model, onnx_file
from models.planning import RATINGS
from models.registry import GROUPS, MODELS, ModelSpec, Pin, RepackMirror, UrlMirror, names_of
from models.restorer import Restorer
from models.weights.store import WeightsStore
from tests.models.file_server import FileServer

EYES = b"no ONNX at all: nothing here looks into it" * 1000
OnnxModel = Callable[..., ModelSpec]


@pytest.fixture
def store(tmp_path: Path) -> WeightsStore:
    return WeightsStore(tmp_path / "weights")


@pytest.fixture
def onnx_model(file_server: FileServer, monkeypatch: pytest.MonkeyPatch) -> OnnxModel:
    """Registers an ONNX file that the local server has."""
    file_server.files["eyes.onnx"] = EYES

    def register(**changes: object) -> ModelSpec:
        given = {
            "name": "eyes",
            "file": "eyes.onnx",
            "url": f"{file_server.url}/eyes.onnx",
            "pin": Pin(bytes=len(EYES), sha256=hashlib.sha256(EYES).hexdigest()),
            "licence": "MIT with reservations",
            "reservations": "of whom, nobody knows",
            "architecture": Architecture(name="SFace", arguments={}),
            "purpose": "tests",
        }
        spec = ModelSpec(**given | changes)
        monkeypatch.setitem(MODELS, "eyes", spec)
        return spec

    return register


@pytest.fixture
def small_restorer(tmp_path: Path) -> Path:
    """A checkpoint of a small GFPGAN, under the names of the official ones."""
    torch.manual_seed(1)
    network = GFPGANv1Clean(out_size=32, num_style_feat=8, num_mlp=1, num_feat=8)
    torch.save({"params_ema": network.state_dict()}, tmp_path / "granny.pth")
    return tmp_path / "granny.pth"


def row_of(store: WeightsStore, name: str):
    return next(row for row in store.list() if row.name == name)


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_onnx_file_is_fetched_once_and_kept_to_the_bit(store, onnx_model, file_server):
    spec = onnx_model()
    path = store.fetch("eyes")
    assert (path, path.read_bytes()) == (store.folder / "eyes.onnx", EYES)
    assert path.stat().st_mode & 0o444 == 0o444
    assert contents(store.folder) == [".downloads/eyes.lock", "eyes.onnx"]
    stored = store.verify("eyes")
    assert (stored.path, stored.licence, stored.source) == (path, spec.licence, "the official file")
    assert stored.source_sha256 == spec.pin.sha256
    assert store.fetch("eyes") == path
    assert len(file_server.requests) == 1
    row = row_of(store, "eyes")
    assert (row.state, row.role, row.scale, row.bytes) == ("present", "identity", None, len(EYES))


def test_a_missing_onnx_file_is_answered_with_the_command_that_brings_it(store, onnx_model):
    onnx_model()
    with pytest.raises(WeightsMissing, match="python -m models weights fetch eyes"):
        store.path("eyes")
    assert row_of(store, "eyes").state == "missing"
    assert not store.folder.exists()


def test_a_changed_onnx_file_is_refused_and_mended_by_fetching(store, onnx_model):
    onnx_model()
    path = store.fetch("eyes")
    path.write_bytes(EYES[:-1] + b"!")
    with pytest.raises(WeightsRefused, match=r"eyes\.onnx is not the official file"):
        store.path("eyes")
    assert row_of(store, "eyes").state == "damaged"
    assert store.fetch("eyes").read_bytes() == EYES


def test_an_onnx_file_put_there_by_hand_counts(store, onnx_model, file_server):
    onnx_model()
    store.folder.mkdir()
    (store.folder / "eyes.onnx").write_bytes(EYES)
    assert store.path("eyes") == store.fetch("eyes") == store.folder / "eyes.onnx"
    assert file_server.requests == []


def test_an_onnx_file_comes_from_the_next_mirror_when_one_fails(store, onnx_model, file_server):
    file_server.files["wrong/eyes.onnx"] = bytes(len(EYES))
    good = UrlMirror(url=f"{file_server.url}/eyes.onnx")
    repack = RepackMirror(url=f"{file_server.url}/eyes.onnx", file="e", pin=Pin(bytes=1, sha256="0" * 64))
    onnx_model(
        url=f"{file_server.url}/404", mirrors=(UrlMirror(url=f"{file_server.url}/wrong/eyes.onnx"), repack, good)
    )
    assert store.fetch("eyes").read_bytes() == EYES
    file_server.files.clear()
    store.path("eyes").unlink()
    with pytest.raises(WeightsUnavailable, match=r"Put eyes\.onnx .* by hand"):
        store.fetch("eyes")
    assert contents(store.folder) == [".downloads/eyes.lock"]


def test_a_mirror_of_ones_own_serves_onnx_files_by_name(store, onnx_model, file_server):
    onnx_model(url=f"{file_server.url}/404")
    file_server.files["mine/eyes.onnx"] = EYES
    assert WeightsStore(store.folder, mirror=f"{file_server.url}/mine").fetch("eyes").read_bytes() == EYES


def test_a_known_onnx_file_is_imported_by_its_bytes_and_any_other_refused(store, onnx_model, tmp_path: Path):
    onnx_model()
    (tmp_path / "renamed.onnx").write_bytes(EYES)
    (tmp_path / "other.onnx").write_bytes(EYES + b"!")
    assert store.import_files((tmp_path / "renamed.onnx",)).read_bytes() == EYES
    assert store.import_files((tmp_path / "renamed.onnx",), name="eyes") == store.path("eyes")
    with pytest.raises(OptionsError, match="this is eyes, and keeps that name"):
        store.import_files((tmp_path / "renamed.onnx",), name="mine")
    with pytest.raises(WeightsRefused, match=r"other\.onnx is none of the ONNX files that are known"):
        store.import_files((tmp_path / "other.onnx",))
    with pytest.raises(WeightsMissing, match="is not there"):
        store.import_files((tmp_path / "none.onnx",))
    with pytest.raises(OptionsError, match="one ONNX file at a time"):
        store.import_files((tmp_path / "renamed.onnx", tmp_path / "other.onnx"))
    assert contents(store.folder) == [".downloads/eyes.lock", "eyes.onnx"]


def test_a_restorer_of_ones_own_is_imported_and_loaded(store, small_restorer):
    path = store.import_files((small_restorer,))
    network = load_face_network("granny", store.folder)
    expected = torch.load(small_restorer, weights_only=True)["params_ema"]
    assert isinstance(network, GFPGANv1Clean)
    assert not network.training
    assert all(torch.equal(value, expected[key]) for key, value in network.state_dict().items())
    assert (path.name, store.names_here("restorer")) == ("granny.safetensors", ("granny",))
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 32, 32)


def test_a_real_detector_is_imported_and_loaded(store, shared: Path):
    store.import_files((shared / "weights" / "mobilenet0.25_Final.pth",))
    network = load_face_network("mobilenet0.25_Final", store.folder)
    assert isinstance(network, RetinaFace)
    counter = network.state_dict()["body.stage1.0.1.num_batches_tracked"]
    assert (counter.dtype, counter.shape) == (torch.int64, ())
    assert counter > 0
    assert store.names_here("detector") == ("mobilenet0.25_Final",)


def test_the_real_yunet_is_imported_under_its_official_name(store, shared: Path):
    name = "face_detection_yunet_2026may"
    store.import_files((shared / "weights" / f"{name}.onnx",))
    assert onnx_file(name, store.folder) == store.folder / f"{name}.onnx"
    assert store.names_here("detector") == (name,)


def test_each_kind_is_loaded_in_its_own_way(store, onnx_model, small_restorer, shipped: Path):
    onnx_model()
    store.fetch("eyes")
    store.import_files((small_restorer,))
    assert onnx_file("eyes", store.folder).read_bytes() == EYES
    with pytest.raises(OptionsError, match="eyes is an ONNX file"):
        load_face_network("eyes", store.folder)
    with pytest.raises(OptionsError, match="granny is no ONNX file"):
        onnx_file("granny", store.folder)
    with pytest.raises(OptionsError, match="restora-compact enlarges pictures"):
        load_face_network("restora-compact", store.folder)
    with pytest.raises(WeightsMissing, match=r"weights fetch GFPGANv1\.4"):
        load_face_network("GFPGANv1.4", store.folder)


@pytest.mark.parametrize("name", ["GFPGANv1.4", "eyes", "granny"])
@pytest.mark.parametrize("ask", [load_model, lambda name, folder: Restorer.open(name, weights_dir=folder)])
def test_a_model_for_faces_is_no_upsampler_be_it_here_or_not(store, onnx_model, small_restorer, ask, name):
    onnx_model()
    store.fetch("eyes")
    store.import_files((small_restorer,))
    with pytest.raises(
        OptionsError, match=rf"^{name} .*; needed is a model that enlarges pictures: RealESRGAN_x4plus,"
    ):
        ask(name, store.folder)


def test_the_planner_sees_no_model_for_faces(store, onnx_model, small_restorer):
    onnx_model()
    store.fetch("eyes")
    store.import_files((small_restorer,))
    before = set(names_here(store.folder))
    assert not before & {"eyes", "granny"}
    assert set(RATINGS) <= set(names_of("upsampler"))


def test_restore_with_a_model_for_faces_ends_with_one_line(store, capsys, tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"")
    arguments = [str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--weights-dir", str(store.folder)]
    assert main(["restore", *arguments, "--model", "detection_Resnet50_Final"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: detection_Resnet50_Final finds faces; needed is a model that enlarges pictures")


def test_a_group_is_fetched_and_verified_by_one_name(store, onnx_model, tiny_model, monkeypatch, capsys):
    onnx_model()
    tiny_model()
    monkeypatch.setitem(GROUPS, "faces", ("eyes", "tiny"))
    assert main(["weights", "fetch", "--dir", str(store.folder), "faces", "tiny"]) == 0
    said = capsys.readouterr()
    assert [Path(line.split()[0]).name for line in said.out.splitlines()] == ["eyes.onnx", "tiny.safetensors"]
    assert "eyes: of whom, nobody knows" in said.err
    assert main(["weights", "verify", "--dir", str(store.folder), "faces"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "eyes: ok, from the official file"


def test_what_an_import_is_for_is_said(store, small_restorer, capsys):
    assert main(["weights", "import", "--dir", str(store.folder), str(small_restorer)]) == 0
    assert capsys.readouterr().out == f"{store.folder / 'granny.safetensors'}; it is there for faces\n"


def test_an_onnx_file_gets_a_pin(onnx_model, capsys, tmp_path: Path):
    spec = onnx_model()
    (tmp_path / "eyes.onnx").write_bytes(EYES)
    assert main(["weights", "pin", str(tmp_path / "eyes.onnx")]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading == f"{tmp_path / 'eyes.onnx'}: ONNX"
    assert line.strip() == f'pin=Pin(bytes={spec.pin.bytes:_}, sha256="{spec.pin.sha256}"),'


def test_an_official_checkpoint_for_faces_is_checked_converted_and_kept(
    store, file_server, monkeypatch, tmp_path: Path
):
    architecture = Architecture(name="RetinaFace", arguments={"backbone": "mobilenet0.25"})
    torch.manual_seed(2)
    network: nn.Module = RetinaFace("mobilenet0.25")
    torch.save({f"module.{key}": tensor for key, tensor in network.state_dict().items()}, tmp_path / "finder.pth")
    content = (tmp_path / "finder.pth").read_bytes()
    file_server.files["finder.pth"] = content
    spec = ModelSpec(
        name="finder",
        file="finder.pth",
        url=f"{file_server.url}/finder.pth",
        pin=Pin(bytes=len(content), sha256=hashlib.sha256(content).hexdigest()),
        architecture=architecture,
        purpose="tests",
    )
    monkeypatch.setitem(MODELS, "finder", spec)
    assert store.fetch("finder") == store.folder / "finder.safetensors"
    assert store.verify("finder", role="detector").architecture == architecture
    loaded = load_face_network("finder", store.folder).state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in network.state_dict().items())


def test_an_official_checkpoint_put_there_by_hand_is_found_and_used_and_a_wrong_one_is_not(
    store, monkeypatch, tmp_path: Path
):
    torch.manual_seed(2)
    torch.save(RetinaFace("mobilenet0.25").state_dict(), tmp_path / "finder.pth")
    content = (tmp_path / "finder.pth").read_bytes()
    spec = ModelSpec(
        name="finder",
        file="finder.pth",
        url="http://127.0.0.1:9/finder.pth",
        pin=Pin(bytes=len(content), sha256=hashlib.sha256(content).hexdigest()),
        architecture=Architecture(name="RetinaFace", arguments={"backbone": "mobilenet0.25"}),
        purpose="tests",
    )
    monkeypatch.setitem(MODELS, "finder", spec)
    store.folder.mkdir()
    (store.folder / "finder.pth").write_bytes(content[:-1])
    assert (row_of(store, "finder").state, installed(store.folder, "detector")) == ("wrong", [])
    (store.folder / "finder.pth").write_bytes(content)
    assert installed(store.folder, "detector") == ["finder"]
    assert FaceFinder.among(store.folder, pick_engine("cpu", "float32")).sha256 == {"detector": spec.pin.sha256}
    assert (store.folder / "finder.safetensors").is_file()
