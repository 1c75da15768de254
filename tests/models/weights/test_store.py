"""The folder of weights: nothing unsound gets in, nothing unsound gets out, and little is downloaded twice."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from models import weights
from models.checkpoints.state_dicts import load_network, load_state_dict
from models.errors import OptionsError, WeightsMissing, WeightsRefused, WeightsUnavailable
from models.registry import MODELS, SHIPPED_MODEL, Pin, RepackMirror, UrlMirror
from models.weights.store import WeightsStore
from tests.models.checkpoints.ncnn_writer import write_srvgg
from tests.models.file_server import send_whole


@pytest.fixture
def store(tmp_path: Path) -> WeightsStore:
    return WeightsStore(tmp_path / "weights")


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def assert_holds(path: Path, state) -> None:
    found = load_state_dict(path)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in state.items())


def test_a_fetched_model_can_be_loaded(store, tiny_model, tiny, file_server):
    spec = tiny_model()
    path = store.fetch("tiny")
    assert_holds(path, tiny[1])
    assert store.path("tiny") == path
    stored = store.verify("tiny")
    assert (stored.architecture, stored.scale, stored.licence, stored.source) == (tiny[0], 2, spec.licence, spec.url)
    load_network(spec, load_state_dict(path))
    assert contents(store.folder) == [".downloads/tiny.lock", "tiny.safetensors"]
    assert path.stat().st_mode & 0o444 == 0o444


def test_a_model_that_is_here_is_not_fetched_again(store, tiny_model, file_server):
    tiny_model()
    assert store.fetch("tiny") == store.fetch("tiny")
    assert len(file_server.requests) == 1


def test_the_weight_file_says_where_it_came_from(store, tiny_model):
    spec = tiny_model()
    with safe_open(store.fetch("tiny"), framework="np") as file:
        metadata = file.metadata()
    assert metadata["source_sha256"] == spec.pin.sha256
    assert (metadata["name"], metadata["source"], metadata["licence"]) == ("tiny", spec.url, "BSD-3-Clause")


def test_a_missing_model_is_answered_with_the_command_that_brings_it(store, tiny_model):
    tiny_model()
    with pytest.raises(WeightsMissing, match="python -m models weights fetch tiny"):
        store.path("tiny")
    assert not store.folder.exists(), "looking made something"


@pytest.mark.parametrize("name", ["tinny", "../tiny", "/etc/passwd", "", "a/b", "..", ".tiny", "ti\nny"])
def test_a_name_that_is_none_is_refused_and_leads_nowhere(store, tiny_model, name):
    tiny_model()
    for ask in (store.path, store.verify, store.fetch):
        with pytest.raises(OptionsError, match="no model is called"):
            ask(name)


def test_a_single_changed_bit_anywhere_is_noticed(store, tiny_model):
    tiny_model()
    path = store.fetch("tiny")
    sound = path.read_bytes()
    for position in (*range(0, len(sound), 5), len(sound) - 1):
        path.write_bytes(sound[:position] + bytes([sound[position] ^ 1]) + sound[position + 1 :])
        with pytest.raises(WeightsRefused, match=r"tiny\.safetensors"):
            store.path("tiny")
    path.write_bytes(sound)
    store.path("tiny")


def test_a_damaged_file_is_mended_by_fetching_again(store, tiny_model, tiny):
    tiny_model()
    path = store.fetch("tiny")
    path.write_bytes(path.read_bytes()[:-1])
    assert_holds(store.fetch("tiny"), tiny[1])
    store.verify("tiny")


def test_a_file_of_another_model_under_this_name_is_refused(store, tiny_model, tmp_path: Path):
    tiny_model()
    torch.save({"params": {**load_state_dict(tmp_path / "tiny.pth")}}, tmp_path / "mine.pth")
    mine = store.import_files((tmp_path / "mine.pth",))
    mine.rename(store.folder / "tiny.safetensors")
    with pytest.raises(WeightsRefused, match=r"made from mine\.pth, which is not tiny"):
        store.path("tiny")


def test_a_safetensors_file_without_our_label_is_refused_with_a_hint(store, tiny):
    store.folder.mkdir()
    save_file(tiny[1], store.folder / "stray.safetensors")
    with pytest.raises(WeightsRefused, match="python -m models weights import"):
        store.path("stray")
    assert [row.state for row in store.list() if row.name == "stray"] == ["damaged"]


def test_an_official_file_put_there_by_hand_is_taken_in_and_left_alone(store, tiny_model, tiny, file_server):
    tiny_model()
    store.folder.mkdir()
    (store.folder / "tiny.pth").write_bytes(file_server.files["tiny.pth"])
    assert_holds(store.path("tiny"), tiny[1])
    assert "tiny.pth" in contents(store.folder)
    assert file_server.requests == []


def test_fetching_takes_in_an_official_file_put_there_by_hand(store, tiny_model, file_server):
    tiny_model()
    store.folder.mkdir()
    (store.folder / "tiny.pth").write_bytes(file_server.files["tiny.pth"])
    store.fetch("tiny")
    assert file_server.requests == []


def test_another_file_put_there_by_hand_is_refused_with_both_digests(store, tiny_model, file_server, tiny):
    spec = tiny_model()
    store.folder.mkdir()
    wrong = file_server.files["tiny.pth"] + b"\0"
    (store.folder / "tiny.pth").write_bytes(wrong)
    with pytest.raises(WeightsRefused) as refusal:
        store.path("tiny")
    assert hashlib.sha256(wrong).hexdigest() in str(refusal.value)
    assert spec.pin.sha256 in str(refusal.value)
    assert_holds(store.fetch("tiny"), tiny[1])
    assert (store.folder / "tiny.pth").read_bytes() == wrong, "a file that is not ours was touched"


def test_the_next_mirror_is_tried_until_one_gives_the_file(store, tiny_model, file_server, tiny):
    file_server.files["wrong"] = b"x" * 90
    file_server.files["good"] = b""
    tiny_model(
        UrlMirror(url=f"{file_server.url}/wrong"),
        UrlMirror(url=f"{file_server.url}/good"),
        url=f"{file_server.url}/404",
    )
    file_server.files["good"] = file_server.files["tiny.pth"]
    assert_holds(store.fetch("tiny"), tiny[1])
    assert store.verify("tiny").source.endswith("/good")


def test_a_digest_that_is_wrong_everywhere_leaves_nothing_and_lists_every_mirror(store, tiny_model, file_server):
    spec = tiny_model(UrlMirror(url=f"{file_server.url}/404"))
    good = file_server.files["tiny.pth"]
    file_server.files["tiny.pth"] = good[:-1] + bytes([good[-1] ^ 1])
    with pytest.raises(WeightsUnavailable) as refusal:
        store.fetch("tiny")
    message = str(refusal.value)
    assert f"{spec.url}: gave a file with SHA-256" in message
    assert f"{file_server.url}/404: HTTP 404" in message
    assert f"Put tiny.pth ({spec.pin.bytes:,} bytes, SHA-256 {spec.pin.sha256}) into {store.folder}" in message
    assert "\n" not in message
    assert contents(store.folder) == [".downloads/tiny.lock"]
    with pytest.raises(WeightsMissing):
        store.path("tiny")


def test_a_mirror_of_ones_own_is_tried_first(tmp_path: Path, tiny_model, file_server):
    tiny_model()
    file_server.files["mine/tiny.pth"] = file_server.files["tiny.pth"]
    store = WeightsStore(tmp_path / "weights", mirror=f"{file_server.url}/mine/")
    store.fetch("tiny")
    assert store.verify("tiny").source == f"{file_server.url}/mine/tiny.pth"


def test_the_password_of_a_mirror_is_not_kept(tmp_path: Path, tiny_model, file_server):
    tiny_model()
    store = WeightsStore(tmp_path / "weights", mirror=file_server.url.replace("//", "//ann:secret@"))
    said = []
    store = WeightsStore(store.folder, mirror=file_server.url.replace("//", "//ann:secret@"), notify=said.append)
    assert b"secret" not in store.fetch("tiny").read_bytes()
    assert "secret" not in "".join(said)


def test_a_repacked_file_is_checked_against_its_own_pin(store, tiny_model, tiny, file_server, tmp_path: Path):
    save_file(tiny[1], tmp_path / "repack.safetensors")
    content = (tmp_path / "repack.safetensors").read_bytes()
    file_server.files["repack.safetensors"] = content
    pin = Pin(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    mirror = RepackMirror(url=f"{file_server.url}/repack.safetensors", file="tiny.repack.safetensors", pin=pin)
    tiny_model(mirror, url=f"{file_server.url}/404")
    assert_holds(store.fetch("tiny"), tiny[1])
    assert contents(store.folder) == [".downloads/tiny.lock", "tiny.safetensors"]


def test_a_pinned_file_that_would_run_code_is_still_refused(store, tiny_model, file_server, tmp_path, monkeypatch):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trap"),)

    spec = tiny_model()
    torch.save({"params": Trap()}, tmp_path / "trap.pth")
    content = (tmp_path / "trap.pth").read_bytes()
    file_server.files["tiny.pth"] = content
    pin = Pin(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(MODELS, "tiny", dataclasses.replace(spec, pin=pin))
    with pytest.raises(WeightsUnavailable, match="would run code"):
        store.fetch("tiny")
    assert not (tmp_path / "trap").exists()
    assert contents(store.folder) == [".downloads/tiny.lock"]


def test_what_a_killed_process_left_is_cleared_away(store, tiny_model):
    tiny_model()
    (store.folder / ".downloads" / "tiny=abc").mkdir(parents=True)
    (store.folder / ".downloads" / "tiny=abc" / "big.whl").write_bytes(b"x")
    (store.folder / ".tiny.safetensors.77.tmp").write_bytes(b"x")
    store.fetch("tiny")
    assert contents(store.folder) == [".downloads/tiny.lock", "tiny.safetensors"]


def test_too_little_space_is_said_before_anything_is_fetched(store, tiny_model, file_server, monkeypatch):
    spec = tiny_model()
    pin = dataclasses.replace(spec.pin, bytes=1 << 60)
    monkeypatch.setitem(MODELS, "tiny", dataclasses.replace(spec, pin=pin))
    with pytest.raises(WeightsUnavailable, match="bytes free, 2,305,843,009,213,693,952 are needed"):
        store.fetch("tiny")
    assert file_server.requests == []


def test_a_folder_that_cannot_be_made_is_reported(tiny_model, tmp_path: Path):
    tiny_model()
    (tmp_path / "weights").write_text("a file, not a folder")
    with pytest.raises(WeightsUnavailable, match="cannot write to"):
        WeightsStore(tmp_path / "weights").fetch("tiny")


FETCH = """
    import sys
    from pathlib import Path
    from models.checkpoints.architecture import Architecture
    from models.registry import MODELS, ModelSpec, Pin
    from models.weights.store import WeightsStore
    name, url, size, digest, architecture, folder = sys.argv[1:]
    MODELS[name] = ModelSpec(name=name, file=f"{name}.pth", url=url, pin=Pin(bytes=int(size), sha256=digest),
                             architecture=Architecture.from_json(architecture), purpose="tests")
    print("ready", flush=True)
    sys.stdin.readline()
    WeightsStore(Path(folder), notify=lambda text: print(text, flush=True)).fetch(name)
"""


def test_two_processes_that_fetch_at_once_download_once(store, tiny_model, file_server, tiny):
    spec = tiny_model()

    def slowly(server, request, content):
        time.sleep(1)
        send_whole(server, request, content)

    file_server.answers = [slowly]
    arguments = [spec.url, str(spec.pin.bytes), spec.pin.sha256, spec.architecture.to_json(), str(store.folder)]
    command = [sys.executable, "-c", textwrap.dedent(FETCH), "tiny", *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as first, subprocess.Popen(command, **pipes) as second:
        assert first.stdout.readline() == second.stdout.readline() == "ready\n"
        for process in (first, second):
            process.stdin.write("\n")
            process.stdin.flush()
        said = [process.communicate(timeout=60) for process in (first, second)]
        assert [first.returncode, second.returncode] == [0, 0], said
    assert len(file_server.requests) == 1
    assert "waiting for it" in said[0][0] + said[1][0]
    assert_holds(store.path("tiny"), tiny[1])


def test_a_killed_fetch_holds_up_nobody(store, tiny_model, file_server, tiny):
    spec = tiny_model()
    reached, let_go = threading.Event(), threading.Event()

    def stall(_server, request, content):
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[:1000])
        request.wfile.flush()
        reached.set()
        let_go.wait(30)

    file_server.answers = [stall]
    arguments = [spec.url, str(spec.pin.bytes), spec.pin.sha256, spec.architecture.to_json(), str(store.folder)]
    command = [sys.executable, "-c", textwrap.dedent(FETCH), "tiny", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdin.write("\n")
        process.stdin.flush()
        assert reached.wait(60)
        process.kill()
        process.wait()
    let_go.set()
    assert_holds(store.fetch("tiny"), tiny[1])


def test_the_list_has_official_and_imported_models(store, tiny_model, tmp_path: Path):
    spec = tiny_model()
    store.import_files((tmp_path / "tiny.pth",), name="grandma")
    rows = {row.name: row for row in store.list()}
    assert (rows["tiny"].state, rows["tiny"].bytes, rows["tiny"].source) == ("missing", spec.pin.bytes, None)
    assert (rows["grandma"].state, rows["grandma"].scale, rows["grandma"].source) == ("present", 2, "tiny.pth")
    assert set(MODELS) < set(rows)


def test_an_imported_model_works_like_an_official_one(store, tiny, tmp_path: Path):
    torch.save({"params_ema": {f"module.{key}": value for key, value in tiny[1].items()}}, tmp_path / "mine.pth")
    assert store.import_files((tmp_path / "mine.pth",)) == store.folder / "mine.safetensors"
    assert_holds(store.path("mine"), tiny[1])
    assert store.verify("mine").architecture == tiny[0]
    assert store.verify("mine").licence == "unknown"


def test_an_ncnn_model_is_imported_with_the_bin_beside_it(store, tiny, tmp_path: Path):
    param, _ = write_srvgg(tiny[1], scale=2, half=True).write(tmp_path, "mine")
    path = store.import_files((param,), name="from-ncnn")
    stored = load_file(path)
    assert stored["body.0.weight"].dtype is torch.float16
    assert_holds(path, {k: v.half() if v.ndim == 4 else v for k, v in tiny[1].items()})


def test_safetensors_and_bfloat16_are_imported(store, tiny, tmp_path: Path):
    save_file({key: tensor.bfloat16() for key, tensor in tiny[1].items()}, tmp_path / "mine.safetensors")
    path = store.import_files((tmp_path / "mine.safetensors",))
    assert_holds(path, {key: tensor.bfloat16().float() for key, tensor in tiny[1].items()})


def test_the_official_file_may_be_imported_under_its_name_but_no_other_file(store, tiny_model, tiny, tmp_path: Path):
    tiny_model()
    torch.save(tiny[1], tmp_path / "other.pth")
    with pytest.raises(OptionsError, match="tiny is an official model and this file is not it"):
        store.import_files((tmp_path / "other.pth",), name="tiny")
    store.import_files((tmp_path / "tiny.pth",))
    assert_holds(store.path("tiny"), tiny[1])


def test_a_model_is_replaced_only_when_asked(store, tiny, tmp_path: Path):
    torch.save(tiny[1], tmp_path / "mine.pth")
    store.import_files((tmp_path / "mine.pth",))
    with pytest.raises(OptionsError, match="already in"):
        store.import_files((tmp_path / "mine.pth",))
    store.import_files((tmp_path / "mine.pth",), replace=True)


@pytest.mark.parametrize("name", ["../evil", "a b", "", ".hidden", "x" * 65, "a/b", "a\\b"])
def test_an_import_cannot_choose_a_name_outside_the_folder(store, tiny, tmp_path: Path, name):
    torch.save(tiny[1], tmp_path / "mine file.pth")
    with pytest.raises(OptionsError, match="cannot be a name"):
        store.import_files((tmp_path / "mine file.pth",), name=name)


def test_a_refused_import_leaves_nothing(store, tmp_path: Path):
    (tmp_path / "mine.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsRefused):
        store.import_files((tmp_path / "mine.pth",))
    with pytest.raises(WeightsMissing):
        store.import_files((tmp_path / "nowhere.pth",))
    with pytest.raises(OptionsError, match="one checkpoint at a time"):
        store.import_files((tmp_path / "mine.pth", tmp_path / "other.pth"))
    assert not store.folder.exists()


def test_the_default_folder_is_that_of_the_repository():
    assert Path(weights.__file__).parents[2] / "weights" == weights.DEFAULT_FOLDER


def test_a_shipped_model_is_there_in_any_folder_without_being_fetched(store, shipped, file_server):
    stored = store.verify(SHIPPED_MODEL)
    assert (stored.path, stored.source) == (shipped / "restora-compact.safetensors", "the Restora repository")
    assert (stored.architecture, stored.licence) == (MODELS[SHIPPED_MODEL].architecture, "MIT")
    assert store.path(SHIPPED_MODEL) == store.fetch(SHIPPED_MODEL) == stored.path
    assert load_network(stored.architecture, load_state_dict(stored.path)).scale == 4
    states = {row.name: (row.state, row.source) for row in store.list()}
    assert states[SHIPPED_MODEL] == states["restora-compact-detail"] == ("present", "the Restora repository")
    assert not store.folder.exists(), "looking made something"
    assert file_server.requests == []


def test_a_shipped_model_in_the_users_folder_goes_first_and_has_to_be_the_same(store, shipped):
    store.folder.mkdir()
    own = store.folder / "restora-compact.safetensors"
    own.write_bytes((shipped / own.name).read_bytes())
    assert store.path(SHIPPED_MODEL) == own
    own.write_bytes(own.read_bytes()[:-1] + b"!")
    for ask in (store.path, store.verify, store.fetch):
        with pytest.raises(WeightsRefused, match="is not the file that ships with Restora"):
            ask(SHIPPED_MODEL)


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_a_damaged_shipped_model_is_refused_with_both_digests_and_listed_as_such(store, shipped, spoil):
    path = shipped / "restora-compact.safetensors"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(WeightsRefused, match=MODELS[SHIPPED_MODEL].pin.sha256) as refusal:
        store.verify(SHIPPED_MODEL)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in str(refusal.value)
    assert [row.state for row in store.list() if row.name == SHIPPED_MODEL] == ["damaged"]


def test_a_shipped_model_that_cannot_be_read_is_refused_in_one_line(store, shipped, monkeypatch):
    def refuse(*_args):
        raise PermissionError(13, "Permission denied")  # root may read everything, so chmod would not do

    monkeypatch.setattr("models.weights.file.sha256_of", refuse)
    with pytest.raises(WeightsRefused, match=r"cannot read .*restora-compact\.safetensors: Permission denied"):
        store.verify(SHIPPED_MODEL)
    assert [row.state for row in store.list() if row.name == SHIPPED_MODEL] == ["damaged"]


def test_a_shipped_model_that_was_deleted_is_missing_and_comes_back_from_git(store, shipped):
    (shipped / "restora-compact.safetensors").unlink()
    for ask in (store.path, store.verify, store.fetch):
        with pytest.raises(WeightsMissing, match=r"git checkout -- weights/restora-compact\.safetensors"):
            ask(SHIPPED_MODEL)
    assert [row.state for row in store.list() if row.name == SHIPPED_MODEL] == ["missing"]


def test_a_short_name_finds_the_shipped_model_unless_the_user_has_a_model_of_that_name(store, shipped, tiny, tmp_path):
    assert store.verify("compact").name == store.full_name("compact") == SHIPPED_MODEL
    torch.save(tiny[1], tmp_path / "mine.pth")
    mine = store.import_files((tmp_path / "mine.pth",), name="compact")
    assert store.path("compact") == mine
    assert store.full_name("compact") == "compact"


def test_a_model_of_ones_own_cannot_take_the_name_of_a_shipped_one(store, shipped, tiny, tmp_path):
    torch.save(tiny[1], tmp_path / "mine.pth")
    before = (shipped / "restora-compact.safetensors").read_bytes()
    with pytest.raises(OptionsError, match="ships with Restora; choose another --name"):
        store.import_files((tmp_path / "mine.pth",), name=SHIPPED_MODEL, replace=True)
    assert (shipped / "restora-compact.safetensors").read_bytes() == before
