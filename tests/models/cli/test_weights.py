"""``python -m models weights`` as people and scripts use it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

import pytest
import torch

from models.cli import main
from models.registry import MODELS, UrlMirror
from tests.models.checkpoints.ncnn_writer import write_srvgg


@pytest.fixture
def run(capsys, tmp_path: Path):
    """Run a verb on the test's own folder: exit status, standard output, standard error."""

    def command(verb: str, *arguments: str) -> tuple[int, str, str]:
        status = main(["weights", verb, "--dir", str(tmp_path / "weights"), *arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


@pytest.fixture
def only_tiny(tiny_model, monkeypatch):
    for name in list(MODELS):
        monkeypatch.delitem(MODELS, name)
    return tiny_model()


def test_the_list_is_a_table_with_every_model(run):
    status, out, err = run("list")
    heading, *lines = out.splitlines()
    assert (status, err) == (0, "")
    assert heading.split() == ["NAME", "SCALE", "LICENCE", "SIZE", "STATE", "FOR"]
    assert [line.split()[:6] for line in lines][1] == [
        *("RealESRGAN_x2plus", "x2", "BSD-3-Clause", "67.1", "MB", "missing")
    ]
    assert [line.split()[0] for line in lines] == list(MODELS)
    (faces,) = [line.split() for line in lines if line.startswith("GFPGANv1.4")]
    assert faces[:7] == ["GFPGANv1.4", "-", "Apache-2.0", "with", "reservations", "348.6", "MB"]


def test_the_list_in_json_says_what_is_present(run, only_tiny):
    run("fetch", "tiny")
    status, out, _ = run("list", "--json")
    (row,) = json.loads(out)
    assert status == 0
    assert row.pop("bytes") > 0
    assert row == {
        "name": "tiny",
        "role": "upsampler",
        "state": "present",
        "scale": 2,
        "licence": "BSD-3-Clause",
        "reservations": "",
        "source": only_tiny.url,
        "purpose": "tests",
    }


def test_fetch_prints_the_file_and_its_licence(run, only_tiny, tmp_path: Path):
    status, out, err = run("fetch", "tiny")
    path = tmp_path / "weights" / "tiny.safetensors"
    assert (status, out) == (0, f"{path}  (licence BSD-3-Clause, from {only_tiny.url})\n")
    assert err == f"fetching tiny (licence BSD-3-Clause) from {only_tiny.url}\n", "a bar in a log"


def test_fetch_all_goes_on_after_a_failure_and_reports_it(run, only_tiny, tiny_model, monkeypatch, file_server):
    broken = type(only_tiny)(**{**vars(only_tiny), "name": "broken", "url": f"{file_server.url}/404"})
    monkeypatch.delitem(MODELS, "tiny")
    monkeypatch.setitem(MODELS, "broken", broken)
    monkeypatch.setitem(MODELS, "tiny", only_tiny)
    status, out, err = run("fetch", "--all")
    assert status == 1
    assert "tiny.safetensors" in out
    assert "error: no mirror gave broken" in err


def test_a_mirror_can_be_named_by_flag_or_environment(run, only_tiny, file_server, monkeypatch):
    file_server.files["a/tiny.pth"] = file_server.files["b/tiny.pth"] = file_server.files["tiny.pth"]
    monkeypatch.setenv("RESTORA_WEIGHTS_MIRROR", f"{file_server.url}/a")
    assert f"from {file_server.url}/a/tiny.pth" in run("fetch", "tiny")[1]
    run("import", str(file_server_copy(file_server)), "--name", "tiny", "--replace")
    monkeypatch.setenv("RESTORA_WEIGHTS_MIRROR", "")
    assert "from tiny.pth" in run("fetch", "tiny")[1]


def file_server_copy(file_server) -> Path:
    path = Path(tempfile.mkdtemp()) / "tiny.pth"
    path.write_bytes(file_server.files["tiny.pth"])
    return path


def test_an_unreachable_model_ends_with_one_line_and_status_1(run, tiny_model, file_server):
    tiny_model(url=f"{file_server.url}/404")
    status, out, err = run("fetch", "tiny")
    assert (status, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("error: no mirror gave tiny: put tiny.pth into ")
    assert line.endswith("; why: python -m models weights fetch tiny --verbose")
    status, _, err = run("fetch", "tiny", "--verbose")
    assert status == 1
    assert [f"{file_server.url}/404" in line for line in err.splitlines()] == [True, True, False]
    assert "HTTP 404" in err
    assert "--verbose" not in err


def test_only_the_mirror_that_gives_the_file_is_told(run, tiny_model, file_server):
    tiny_model(UrlMirror(url=f"{file_server.url}/tiny.pth"), url=f"{file_server.url}/404")
    _, _, err = run("fetch", "tiny")
    assert err == f"fetching tiny (licence BSD-3-Clause) from {file_server.url}/tiny.pth\n"


def test_a_file_put_there_by_hand_is_listed_as_what_it_is(run, only_tiny, file_server, tmp_path: Path):
    folder = tmp_path / "weights"
    folder.mkdir()
    for content, state in ((b"half a download", "wrong"), (file_server.files["tiny.pth"], "present")):
        (folder / "tiny.pth").write_bytes(content)
        (row,) = json.loads(run("list", "--json")[1])
        assert (row["state"], row["bytes"]) == (state, len(content))
    (folder / "tiny (1).pth").write_bytes(b"")
    _, out, err = run("list")
    assert "present" in out.splitlines()[1]
    assert err == (
        f"{folder / 'tiny (1).pth'} is not used as it lies there; "
        f"bring it in with: python -m models weights import {folder / 'tiny (1).pth'}\n"
    )
    assert run("fetch", "tiny")[0] == 0
    assert file_server.requests == []


def test_an_imported_model_is_listed_with_what_it_is_for(run, only_tiny, file_server, tmp_path: Path):
    run("import", str(file_server_copy(file_server)), "--name", "grandma")
    (line,) = [line for line in run("list")[1].splitlines() if line.startswith("grandma")]
    assert line.endswith("imported: enlarges pictures x2, SRVGGNetCompact of 1 convolutions and 4 features")


def test_a_slip_of_the_finger_is_answered_in_one_line(capsys):
    for words, prog in ((["weights", "fetsh"], "weights"), (["restore", "--fases"], "restore"), (["restor"], "")):
        with pytest.raises(SystemExit) as ended:
            main(words)
        (line,) = capsys.readouterr().err.splitlines()
        assert ended.value.code == 2
        assert line.startswith("error: ")
        assert line.endswith(f"; try: {' '.join(f'python -m models {prog}'.split())} --help")


def test_a_wrong_name_suggests_the_right_one(run):
    status, _, err = run("fetch", "RealESRGAN_x4pluss")
    assert status == 1
    assert err.startswith("error: no model is called 'RealESRGAN_x4pluss'. Did you mean RealESRGAN_x4plus?")


def test_verify_tells_good_from_damaged(run, only_tiny, tmp_path: Path):
    run("fetch", "tiny")
    assert run("verify") == (0, f"tiny: ok, from {only_tiny.url}\n", "")
    path = tmp_path / "weights" / "tiny.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    status, out, _ = run("verify", "tiny", "--json")
    (verdict,) = json.loads(out)
    assert status == 1
    assert (verdict["name"], verdict["source"]) == ("tiny", None)
    assert "seal is broken" in verdict["error"]


def test_verify_finds_missing_and_unknown_models(run, only_tiny):
    assert run("verify")[0] == 1
    status, out, _ = run("verify", "tiny", "tinny")
    assert status == 1
    assert "tiny: the weights of tiny are not in" in out
    assert "tinny: no model is called" in out


@pytest.mark.parametrize("kind", ["pth", "ncnn"])
def test_import_brings_in_a_file_of_ones_own(run, tiny, tmp_path: Path, kind):
    if kind == "pth":
        torch.save(tiny[1], tmp_path / "mine.pth")
        files = [str(tmp_path / "mine.pth")]
    else:
        files = [str(path) for path in write_srvgg(tiny[1], scale=2).write(tmp_path, "mine")]
    status, out, _ = run("import", *files, "--name", "grandma")
    assert status == 0
    assert "--model grandma" in out
    assert run("verify", "grandma")[0] == 0
    assert "grandma" in run("list")[1]


@pytest.mark.parametrize("arguments", [[], ["weights"], ["weights", "steal"], ["weights", "list", "--loud"]])
def test_wrong_usage_ends_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as ending:
        main(arguments)
    assert ending.value.code == 2


def test_help_comes_without_loading_torch():
    code = "import sys\nfrom models.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    check = "assert not {'torch', 'cv2'} & set(sys.modules), 'loaded'"
    subprocess.run([sys.executable, "-c", code + check], check=True, capture_output=True, timeout=60)


def start(folder: Path, mirror: str, stderr: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "models", "weights", "fetch", "realesr-animevideov3", "--dir", str(folder)]
    return subprocess.Popen([*command, "--mirror", mirror], stdout=subprocess.DEVNULL, stderr=stderr)


def test_ctrl_c_ends_with_status_130_and_the_part_can_be_continued(tmp_path: Path, file_server):
    reached, let_go = threading.Event(), threading.Event()

    def stall(_server, request, _content):
        request.send_response(200)
        request.send_header("Content-Length", "2504012")
        request.end_headers()
        request.wfile.write(bytes(1_000_000))
        request.wfile.flush()
        reached.set()
        let_go.wait(30)

    file_server.files["realesr-animevideov3.pth"] = b""
    file_server.answers = [stall]
    part = tmp_path / ".downloads" / "realesr-animevideov3.pth.part"
    with start(tmp_path, file_server.url, subprocess.PIPE) as process:
        assert reached.wait(60)
        while not part.is_file() or part.stat().st_size < 900_000:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    let_go.set()
    assert process.returncode == 130
    assert err.splitlines()[-1] == b"interrupted"
    assert part.stat().st_size > 900_000


def test_a_terminal_sees_a_bar(tmp_path: Path, file_server):
    file_server.files["realesr-animevideov3.pth"] = bytes(2_504_012)  # of the right size, and no model
    file_server.answers = []
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 100))
    with start(tmp_path, file_server.url, follower) as process:
        os.close(follower)
        seen = b""
        while b"realesr-animevideov3:" not in seen:
            seen += os.read(leader, 4096)
        process.kill()
    os.close(leader)
    assert b"\r" in seen


def test_what_ships_with_the_repository_is_listed_verified_and_never_fetched(run, shipped: Path):
    _, out, _ = run("list")
    (line,) = [line for line in out.splitlines() if line.startswith("restora-compact ")]
    assert line.split()[:3] == ["restora-compact", "x4", "MIT"]
    assert line.split()[5] == "shipped"
    path = shipped / "restora-compact.safetensors"
    fetched = (0, f"{path}  (licence MIT, from the Restora repository)\n", "")
    assert run("fetch", "restora-compact") == run("fetch", "compact") == fetched
    both = "".join(
        f"{name}: ok, from the Restora repository\n" for name in ("restora-compact", "restora-compact-detail")
    )
    assert run("verify") == (0, both, "")
    path.write_bytes(b"")
    status, out, _ = run("verify", "compact")
    assert status == 1
    assert "is not the file that ships with Restora" in out


def test_a_pin_is_printed_as_the_registry_has_it_and_only_for_what_can_be_loaded(capsys, shipped: Path, tmp_path: Path):
    path, pin = shipped / "restora-compact.safetensors", MODELS["restora-compact"].pin
    assert main(["weights", "pin", str(path)]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading == f"{path}: {MODELS['restora-compact'].architecture}"
    assert line.strip() == f'pin=Pin(bytes={pin.bytes:_}, sha256="{pin.sha256}"),'
    (tmp_path / "broken.safetensors").write_bytes(path.read_bytes()[:-1])
    assert main(["weights", "pin", str(tmp_path / "broken.safetensors")]) == 1
    assert capsys.readouterr().err.startswith("error: broken.safetensors is damaged")


@pytest.mark.usefixtures("only_tiny")
def test_the_folder_is_the_one_of_the_environment_unless_another_is_named(capsys, monkeypatch, tmp_path: Path):
    monkeypatch.setenv("WEIGHTS_DIR", str(tmp_path / "theirs"))
    for more in ([], ["--dir", str(tmp_path / "mine")]):
        assert main(["weights", "fetch", "tiny", *more]) == 0
    printed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert printed == [str(tmp_path / name / "tiny.safetensors") for name in ("theirs", "mine")]
