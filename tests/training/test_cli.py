"""The command line: help that can be read, errors on one line, a stop that is no crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from PIL import Image

from models.archs import SRVGGNetCompact
from models.loading import load_model
from models.weights import WeightsStore
from tests.conftest import REPOSITORY
from training.cli import RUNS, main

COMMANDS = ("prepare", "teach", "train", "export", "smoke", "gallery")
SETTINGS = """
[data]
pictures = "{pictures}"
folder = "{folder}/patches"
patches = 12
side = 96
[network]
num_feat = 8
num_conv = 1
[train]
folder = "{folder}/run"
steps = 12
batch = 2
crop = 16
margin = 2
threads = 1
device = "cpu"
checkpoint_every = 5
sheet_every = 12
"""


@pytest.fixture
def mine(pictures, tmp_path):
    """A settings file of a short run in a folder of its own."""
    file = tmp_path / "mine.toml"
    file.write_text(SETTINGS.format(pictures=pictures, folder=tmp_path))
    return str(file)


def said(capsys, *arguments):
    """Exit status and the lines on stderr."""
    status = main(arguments)
    return status, capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    "command", [(), *((command,) for command in COMMANDS)], ids=lambda words: " ".join(words) or "none"
)
def test_help_is_there_for_every_command(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: python -m training{' ' if command else ''}{''.join(command)}")
    if not command:
        assert all(f"    {name} " in out for name in COMMANDS)


def test_a_run_goes_the_whole_way_from_pictures_to_a_model_of_the_product(mine, tmp_path, capsys):
    assert main(["prepare", mine]) == 0
    assert main(["train", mine]) == 0
    assert main(["export", mine, str(tmp_path / "my-model.safetensors")]) == 0
    store = WeightsStore(tmp_path / "weights")
    store.import_files((tmp_path / "my-model.safetensors",))
    assert store.verify("my-model").architecture.name == "SRVGGNetCompact"
    assert load_model("my-model", tmp_path / "weights").scale == 4
    err = capsys.readouterr().err
    assert "12 patches in " in err
    assert "12 steps done; log, checkpoint and sheets are in " in err


def test_a_teacher_of_one_s_own_is_asked_and_followed(mine, tmp_path):
    torch.manual_seed(0)
    torch.save(SRVGGNetCompact(num_feat=4, num_conv=1).state_dict(), tmp_path / "toy.pth")
    WeightsStore(tmp_path / "weights").import_files((tmp_path / "toy.pth",))
    asked = [
        "--set",
        "teacher.model=toy",
        "--set",
        f"teacher.weights={tmp_path / 'weights'}",
        "--set",
        "losses.teacher=1",
    ]
    assert main(["teach", mine, *asked]) == 0
    answered = (tmp_path / "patches/teacher-toy.npy").stat().st_mtime_ns
    assert main(["train", mine, *asked]) == 0
    assert (tmp_path / "patches/teacher-toy.npy").stat().st_mtime_ns == answered
    assert "teacher" in (tmp_path / "run/log.csv").read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "nowhere.toml"], "nowhere.toml is no settings file: "),
        (["train", "MINE", "--set", "steps"], "--set takes SECTION.KEY=VALUE, not 'steps'"),
        (["train", "MINE", "--set", "train.steps=0"], "train.steps must be at least 1, not 0"),
        (["train", "MINE", "--set", "train.stepz=3"], "there is no stepz"),
        (["teach", "MINE"], "nobody to ask: set teacher.model"),
        (["teach", "MINE", "--set", "teacher.model=nobody"], "the teacher: "),
        (["prepare", "MINE", "--set", "data.pictures=nowhere"], "no pictures in nowhere"),
        (["prepare", "MINE", "--set", "data.folder=/proc/nowhere"], "/proc/nowhere"),
        (["export", "MINE", "out.safetensors"], "holds no prepared patches"),
        (["smoke", "--pictures", "nowhere"], "no pictures in nowhere"),
        (["gallery", "out.jpg", "--pictures", "nowhere.png"], "nowhere.png cannot be shown"),
        (["gallery", "/proc/nowhere/out.jpg"], "cannot write /proc/nowhere/out.jpg"),
    ],
)  # fmt: skip
def test_errors_are_one_line_and_status_1(mine, capsys, arguments, words):
    status, lines = said(capsys, *(mine if word == "MINE" else word for word in arguments))
    assert status == 1
    assert words in lines[-1]
    assert not [line for line in lines if "Traceback" in line]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_to_be_missing(mine, capsys):
    status, lines = said(capsys, "train", mine, "--set", "train.device=cuda")
    assert (status, lines[-1]) == (1, 'train.device = "cuda", but torch finds no NVIDIA GPU here')


def test_a_run_without_a_checkpoint_cannot_be_exported(mine, tmp_path, capsys):
    main(["prepare", mine])
    status, lines = said(capsys, "export", mine, str(tmp_path / "out.safetensors"))
    assert status == 1
    assert lines[-1].endswith("does not exist: run `python -m training train` first")


@pytest.mark.parametrize("seed", ["-1", "x", "1.5"])
def test_a_seed_is_a_whole_number(capsys, seed, tmp_path):
    with pytest.raises(SystemExit):
        main(["gallery", str(tmp_path / "out.jpg"), f"--seed={seed}"])
    assert f"a whole number of 0 or more, not '{seed}'" in capsys.readouterr().err


def test_the_gallery_is_a_jpeg_below_400_kb(tmp_path):
    assert main(["gallery", str(tmp_path / "out.jpg"), "--seed", "3"]) == 0
    with Image.open(tmp_path / "out.jpg") as sheet:
        assert sheet.format == "JPEG"
    assert (tmp_path / "out.jpg").stat().st_size < 400_000


def test_the_smoke_run_leaves_nothing_behind_unless_it_is_told_to(pictures, tmp_path, monkeypatch):
    from tests.training.test_smoke import TINY

    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    tiny = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    assert main(["smoke", *tiny, "--pictures", str(pictures)]) == 0
    assert not list((tmp_path / "tmp").iterdir())
    assert main(["smoke", *tiny, "--pictures", str(pictures), "--folder", str(tmp_path / "kept")]) == 0
    assert {file.name for file in (tmp_path / "kept").iterdir()} == {"patches", "straight", "stopped"}
    assert (RUNS / "smoke.toml").exists()


def test_ctrl_c_stops_in_one_line_and_leaves_a_checkpoint_of_its_run(mine, tmp_path, capsys):
    command = [sys.executable, "-m", "training", "train", mine, "--set", "train.steps=100000"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    log = tmp_path / "stderr"
    with log.open("w") as stderr:
        process = subprocess.Popen(command, cwd=REPOSITORY, stderr=stderr, env=environment)
        try:
            deadline = time.monotonic() + 60
            while not (tmp_path / "run/checkpoint.pt").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()
    lines = log.read_text().splitlines()
    assert lines[-1] == "stopped; the same command goes on from what is kept"
    assert not [line for line in lines if "Traceback" in line]
    assert main([*command[3:-1], "train.steps=12"]) == 1  # another run: its length is part of what it is
    assert "belongs to another run (other settings)" in capsys.readouterr().err.splitlines()[-1]
    assert main([*command[3:-1], "train.steps=12", "--fresh"]) == 0
