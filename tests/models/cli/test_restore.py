"""The command as a user runs it, with a small real network brought into a weights folder."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models.cli import main
from models.cli.files import Names, files_under, write_whole
from models.encoding import read_recipe
from models.planning.ratings import RATINGS, Rating
from models.registry import SHIPPED_MODEL
from tests.models.cli.small_model import MODEL, restore
from tests.models.toys import noise, opened, png


def test_json_is_one_object_that_is_true_of_the_file(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lq, out = tmp_path / "old.png", tmp_path / "new.png"
    lq.write_bytes(png(noise(10, 12, 3)))
    assert restore(weights, lq, out, "--json", "--outscale", "1.5", "--dtype", "float32") == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert captured.out.count("\n") == 1
    assert captured.err == ""
    assert set(report.pop("seconds")) == {"decode", "plan", "upscale", "colours", "faces", "encode", "total"}
    assert report.pop("estimate_s") >= 0
    choice = report.pop("choice")
    assert choice.startswith(f"Uses {MODEL} because it was asked for. ×1.5 because it was asked for.")
    recipe = report.pop("recipe")
    assert (recipe["model"], recipe["outscale"], recipe["border"]) == (MODEL, 1.5, 10)
    assert read_recipe(out.read_bytes()) == {key: recipe[key] for key in recipe.keys() - {"made", "seconds"}}
    assert report == {
        "in": str(lq),
        "out": str(out),
        "size_in": [12, 10],
        "size_out": [18, 15],
        "model": MODEL,
        "device": "cpu",
        "dtype": "float32",
        "faces": [],
        "notices": [],
    }
    assert opened(out.read_bytes()).size == (18, 15)


@pytest.mark.parametrize(("suffix", "format_"), [("png", "PNG"), ("jpg", "JPEG"), ("JPEG", "JPEG"), ("webp", "WEBP")])
def test_the_name_of_the_result_decides_its_format(weights: Path, tmp_path: Path, suffix: str, format_: str) -> None:
    lq, out = tmp_path / "old.png", tmp_path / f"deep/er/new.{suffix}"
    lq.write_bytes(png(noise(10, 12, 3)))
    assert restore(weights, lq, out) == 0
    assert opened(out.read_bytes()).format == format_


def test_into_a_folder_the_picture_keeps_its_name_and_the_input_is_safe(weights: Path, tmp_path: Path) -> None:
    lq = tmp_path / "old.png"
    data = png(noise(10, 12, 3))
    lq.write_bytes(data)
    assert restore(weights, lq, tmp_path, "--format", "png") == 0
    assert lq.read_bytes() == data
    assert opened((tmp_path / "old.png.png").read_bytes()).size == (24, 20)


@pytest.mark.parametrize(
    ("out", "extra", "complaint"),
    [
        ("new.tiff", [], "must end in one of .png"),
        ("new", [], "must end in one of .png"),
        ("new.png", ["--format", "jpeg"], "--format says jpeg"),
        ("old.png", [], "is IN itself"),
    ],
)
def test_a_wrong_result_is_wrong_usage(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str, extra: list[str], complaint: str
) -> None:
    lq = tmp_path / "old.png"
    lq.write_bytes(png(noise(4, 4, 3)))
    before = lq.read_bytes()
    with pytest.raises(SystemExit) as exit_:
        restore(weights, lq, tmp_path / out, *extra)
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
    assert line.endswith("; try: python -m models restore --help")
    assert lq.read_bytes() == before
    assert list(tmp_path.iterdir()) == [lq]


@pytest.mark.parametrize(
    ("content", "extra", "complaint"),
    [
        (None, [], "is not there"),
        (b"no picture", [], "this seems to be a text; what can be read is PNG, JPEG,"),
        (png(noise(4, 4, 3))[:60], [], "damaged"),
        (png(noise(4, 4, 3)), ["--outscale", "0"], "outscale"),
        (png(noise(4, 4, 3)), ["--denoise", "1.5"], "denoise"),
        (png(noise(4, 4, 3)), ["--device", "cuda:77"], "cuda:77"),
        (png(noise(4, 4, 3)), ["--model", "RealESRGAN_x2plus"], "weights fetch RealESRGAN_x2plus"),
        (png(noise(4, 4, 3)), ["--model", "no-such-model"], "no-such-model"),
    ],
)
def test_a_failure_is_one_line_and_leaves_nothing(
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    extra: list[str],
    complaint: str,
) -> None:
    lq = tmp_path / "old.png"
    if content is not None:
        lq.write_bytes(content)
    arguments = ["restore", str(lq), str(tmp_path / "new.png"), "--model", MODEL, "--weights-dir", str(weights)]
    assert main([*arguments, *extra]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert complaint in captured.err
    assert not (tmp_path / "new.png").exists()


@pytest.mark.parametrize(("outscale", "status"), [("2", 0), ("2.5", 0), ("1000", 1)])
def test_more_than_the_network_enlarges_is_warned_of_before_the_work(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], outscale: str, status: int
) -> None:
    lq, out = tmp_path / "old.png", tmp_path / "new.png"
    lq.write_bytes(png(noise(100, 80, 3)))
    assert restore(weights, lq, out, "--outscale", outscale) == status
    said = capsys.readouterr().err
    assert ("warning: " in said, "--outscale 2 has it all" in said) == (outscale != "2", outscale != "2")
    assert ("×250 would keep to it" in said) == (status == 1)


def test_a_folder_is_restored_picture_by_picture_whatever_fails(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    files = {
        "a.png": png(noise(4, 4, 3)),
        "sub/b.png": png(noise(5, 5, 3)),
        "sub/b.bmp": png(noise(6, 6, 3)),  # content counts, not the name
        "broken.png": png(noise(4, 4, 3))[:60],
        "lies.jpg": b"text",
        "notes.txt": b"text",
        ".hidden.png": b"text",
    }
    for name, data in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    assert restore(weights, source, target, "--json", "--format", "png") == 1
    captured = capsys.readouterr()
    rows = [json.loads(line) for line in captured.out.splitlines()]
    made = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert made == sorted(["a.png", "sub/b.png", "sub/b.png.png"])
    assert sorted(str(Path(row["out"]).relative_to(target)) for row in rows) == made
    sizes = {Path(row["in"]).name: row["size_out"] for row in rows}
    assert sizes == {"a.png": [8, 8], "b.png": [10, 10], "b.bmp": [12, 12]}
    last = captured.err.splitlines()[-1]
    assert last.startswith("error: 2 of 6 files failed")
    assert "broken.png" in last
    assert "lies.jpg" in last
    assert "notes.txt: skipped" in captured.err
    assert {name: (source / name).read_bytes() for name in files} == files


def test_a_result_folder_inside_the_source_is_not_restored_again(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(noise(4, 4, 3)))
    target = tmp_path / "restored"
    for _ in range(2):
        assert restore(weights, tmp_path, target, "--format", "png") == 0
    assert [path.relative_to(target) for path in target.rglob("*")] == [Path("a.png")]


def test_two_inputs_never_share_a_name(tmp_path: Path) -> None:
    names = Names(tmp_path / "taken.png")
    chosen = [names.choose(tmp_path, Path(name), "png") for name in ("a.jpg", "a.png", "A.webp", "a.png", "taken.jpg")]
    assert [path.name for path in chosen] == ["a.png", "a.png.png", "A.webp.png", "a.png-2.png", "taken.jpg.png"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "new.png"
    target.mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(OSError, match=r"."):
        write_whole(target, b"data")
    assert list(tmp_path.iterdir()) == [target]


def test_hidden_files_and_the_results_are_left_out(tmp_path: Path) -> None:
    for name in ("b/x", "a/y", ".git/z", "out/w", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = files_under(tmp_path, leave_out=tmp_path / "out", on_closed=pytest.fail)
    assert [str(path.relative_to(tmp_path)) for path in found] == ["c", "a/y", "b/x"]


@pytest.mark.usefixtures("nothing_shipped")
def test_info_says_what_was_picked_and_why(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["info", "--weights-dir", str(weights), "--device", "cpu", "--measure", "--model", MODEL]
    assert main([*arguments, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["device"] == "cpu"
    assert facts["reason"].startswith("cpu was asked for")
    assert facts["weights"] == [MODEL]
    assert facts["torch"] == torch.__version__
    assert facts["threads"] >= 1
    assert list(facts["seconds_per_megapixel"]) == [MODEL]
    assert main(arguments) == 0
    assert "cpu was asked for" in capsys.readouterr().out


def test_every_model_that_would_be_chosen_among_is_measured_in_a_row_of_its_own(
    weights: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RATINGS, MODEL, Rating(purposes=("photo",), rank=1))  # type: ignore[misc]
    arguments = ["info", "--weights-dir", str(weights), "--device", "cpu", "--measure", "--model", "auto"]
    assert main([*arguments, "--json"]) == 0
    paces = json.loads(capsys.readouterr().out)["seconds_per_megapixel"]
    assert list(paces) == [SHIPPED_MODEL, MODEL]
    assert min(paces.values()) > 0
    assert main(arguments) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("seconds_per_megapixel")]
    assert [row[1] for row in rows] == [SHIPPED_MODEL, MODEL]
    assert all(float(row[2]) > 0 for row in rows)


def test_help_does_not_load_torch() -> None:
    script = "import sys, atexit, models.cli; atexit.register(lambda: print('torch' in sys.modules))"
    script += "; models.cli.main(['restore', '--help'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert "--outscale" in done.stdout


def test_somebody_at_a_terminal_hears_at_once_that_it_begins(tmp_path: Path) -> None:
    script = "import sys, models.cli; from models.cli import process; process.prepare_process = lambda: sys.exit(3)"
    script += "; import models.cli.restore as r; r.prepare_process = process.prepare_process"
    script += "; models.cli.main(['restore', sys.argv[1], sys.argv[2]])"
    (tmp_path / "old.png").write_bytes(b"")
    leader, follower = pty.openpty()
    words = [sys.executable, "-c", script, str(tmp_path / "old.png"), str(tmp_path / "new.png")]
    done = subprocess.run(words, stderr=follower, check=False)
    os.close(follower)
    assert done.returncode == 3, "torch was to be loaded after that"
    assert os.read(leader, 4096) == b"getting ready, which takes some seconds ...\r\n"
    os.close(leader)


def test_the_whole_command_runs_as_a_process(weights: Path, tmp_path: Path) -> None:
    lq, out = tmp_path / "old.png", tmp_path / "new.png"
    lq.write_bytes(png(noise(10, 12)))
    command = [sys.executable, "-m", "models", "restore", lq, out, "--model", MODEL, "--weights-dir", weights]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert np.asarray(opened(out.read_bytes())).shape == (20, 24)


@pytest.mark.parametrize("detour", ["./nowhere/../old.png", "../{folder}/old.png", "nowhere/deeper/../../old.png"])
def test_a_detour_to_the_picture_itself_is_seen_before_anything_is_written(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], detour: str
) -> None:
    lq = tmp_path / "old.png"
    lq.write_bytes(png(noise(10, 12, 3)))
    before = lq.read_bytes()
    with pytest.raises(SystemExit):
        restore(weights, lq, tmp_path / detour.format(folder=tmp_path.name))
    assert "OUT is IN itself" in capsys.readouterr().err
    assert lq.read_bytes() == before
    assert list(tmp_path.iterdir()) == [lq]
