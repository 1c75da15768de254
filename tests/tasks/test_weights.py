"""What a worker needs before it can start, and what ``python -m tasks.weights`` does about it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dev.redis_server import free_port
from models.errors import OptionsError, WeightsMissing, WeightsRefused
from models.options import PATIENCE_S
from models.planning import RATINGS
from models.registry import GROUPS, MODELS
from models.restorer import AUTO as AUTO_OF_THE_LIBRARY
from tasks.settings import WorkerSettings
from tasks.weights import AUTO, AUTO_MODELS, check_weights, main
from tests.conftest import REPOSITORY

WEIGHTS = REPOSITORY / "weights"
SMALL, LARGE = "realesr-animevideov3", "RealESRGAN_x4plus"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A weights folder with the smallest of the models."""
    bring(SMALL, tmp_path)
    return tmp_path


def bring(name: str, folder: Path) -> Path:
    file = WEIGHTS / f"{name}.safetensors"
    if not file.is_file():
        pytest.skip(f"needs {name}: python -m models weights fetch {name}")
    return Path(shutil.copy(file, folder))


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, with nothing but a dead address to fetch from."""
    dead = f"http://127.0.0.1:{free_port()}"
    env = {"PATH": "", "PYTHONPATH": str(REPOSITORY), "PIP_INDEX_URL": dead, "PIP_RETRIES": "0"}
    env |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), dead)
    command = [sys.executable, "-m", "tasks.weights", "--dir", str(folder), *arguments]
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_the_word_for_whatever_is_there_is_the_librarys_and_the_default():
    assert AUTO == AUTO_OF_THE_LIBRARY == WorkerSettings.model_fields["worker_model"].default


def test_the_models_that_are_fetched_do_every_kind_of_picture():
    assert set(AUTO_MODELS) <= RATINGS.keys() & MODELS.keys()
    best = {RATINGS[name].purposes[0] for name in AUTO_MODELS if RATINGS[name].rank == 0}
    assert best == {"photo", "drawing"}


def test_patience_is_the_same_for_workers_and_for_the_library():
    assert WorkerSettings.model_fields["patience_s"].default == PATIENCE_S


@pytest.mark.usefixtures("nothing_shipped")
def test_any_model_that_the_planner_knows_is_enough(folder):
    check_weights(folder, AUTO)


def test_what_ships_with_the_repository_is_enough_for_a_worker(shipped, tmp_path, monkeypatch, capsys):
    for model in (AUTO, "compact", "restora-compact"):
        check_weights(tmp_path / "none", model)
        monkeypatch.setattr(sys, "argv", ["tasks.weights", "--dir", str(tmp_path / "none"), "--model", model])
        assert main() == 0
    assert capsys.readouterr() == ("", "")
    assert not (tmp_path / "none").exists()


def test_a_damaged_shipped_model_stops_a_worker_at_once(shipped, tmp_path, monkeypatch, capsys):
    file = shipped / "restora-compact.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(WeightsRefused, match="ships with Restora"):
        check_weights(tmp_path, AUTO)
    monkeypatch.setattr(sys, "argv", ["tasks.weights", "--dir", str(tmp_path / "none")])
    assert main() == 1
    (line,) = capsys.readouterr().err.splitlines()  # nothing was fetched, which would not help
    assert line.startswith(f"error: {file} is not the file that ships with Restora")


@pytest.mark.usefixtures("nothing_shipped")
def test_an_empty_folder_is_refused_with_the_command_that_fills_it(tmp_path):
    with pytest.raises(WeightsMissing, match=f"python -m models weights fetch {' '.join(AUTO_MODELS)}"):
        check_weights(tmp_path, AUTO)


def test_a_name_asks_for_that_model_whatever_else_is_there(folder):
    check_weights(folder, SMALL)
    with pytest.raises(WeightsMissing, match=LARGE):
        check_weights(folder, LARGE)
    with pytest.raises(OptionsError, match="RealESRGAN_x5"):
        check_weights(folder, "RealESRGAN_x5")
    with pytest.raises(OptionsError, match=r"GFPGANv1\.4 restores faces"):
        check_weights(folder, "GFPGANv1.4")


def test_a_damaged_model_is_no_model_less_but_an_error(folder):
    file = folder / f"{SMALL}.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(WeightsRefused):
        check_weights(folder, AUTO)


@pytest.mark.parametrize("fetch", ["needed", "pictures"])
def test_when_everything_is_there_the_command_is_quiet_and_quick(tmp_path, fetch):
    for name in AUTO_MODELS:
        bring(name, tmp_path)
    began = time.monotonic()
    finished = run(tmp_path, "--fetch", fetch)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
    assert time.monotonic() - began < 5  # one process, and no torch


def test_where_any_model_is_there_nothing_is_fetched_unless_asked_for(folder):
    finished = run(folder)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_what_cannot_be_fetched_is_a_warning_where_another_model_is_there(folder):
    what_of_it = "faces stay as they are, are found less surely, or are not judged"
    for fetch, faces in (
        ("pictures", []),
        ("all", [f"warning: without {', '.join(GROUPS['faces'])} {what_of_it}"]),
    ):
        finished = run(folder, "--fetch", fetch)
        assert finished.returncode == 0
        assert [line for line in finished.stderr.splitlines() if line.startswith("warning")] == [
            f"warning: without {', '.join(AUTO_MODELS[:2])} the other models do its work",
            *faces,
        ]


def test_nothing_to_be_had_is_an_error(tmp_path):
    finished = run(tmp_path, "--model", SMALL)
    assert finished.returncode == 1
    assert SMALL in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("fetch", ["needed", "pictures"])
def test_a_model_that_nobody_knows_is_an_error(monkeypatch, capsys, tmp_path, fetch):
    monkeypatch.setattr("tasks.weights.AUTO_MODELS", ())  # --fetch pictures would go on to these
    monkeypatch.setattr(sys, "argv", ["tasks.weights", "--dir", str(tmp_path), "--model", "x5", "--fetch", fetch])
    assert main() == 1
    assert capsys.readouterr().err.startswith("error: no model is called 'x5'")
