from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import REPOSITORY
from training.evaluation.cli import main

from .makers import checkpoint, honest, idle, originals, smooth
from .test_pictures import index_of

NOISY = "blur-noise-jpeg"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return originals(tmp_path / "own")


@pytest.fixture
def ask(own, tmp_path):
    """Run the command on two pictures of our own, with no teacher unless one is named."""

    def run(*arguments: object, inputs: tuple[str, ...] = ("clean", NOISY), teacher: object = "none") -> int:
        common = ["--pictures", own, "--weights-dir", tmp_path / "weights", "--answers", tmp_path / "answers"]
        kinds = ["--inputs", *inputs] if inputs else []
        return main([str(part) for part in (*common, *kinds, "--teacher", teacher, *arguments)])

    return run


def test_a_model_that_does_nothing_fails_with_a_clear_sentence(ask, tmp_path, capsys):
    cheat = checkpoint(tmp_path / "cheat.safetensors", idle())
    assert ask("--model", cheat) == 1
    told = capsys.readouterr()
    assert f"cheat is no better than do nothing on own, {NOISY}: SSIM " in told.err
    assert told.err in told.out + "\n"


def test_a_model_that_does_something_passes(ask, tmp_path, capsys):
    assert ask("--model", checkpoint(tmp_path / "honest.safetensors", honest())) == 0
    told = capsys.readouterr().out
    assert "Every model is better than doing nothing and than bicubic on degraded input." in told
    for way in ("do nothing", "bicubic", "Lanczos", "honest"):
        for kind in ("clean", NOISY):
            assert sum(f"own (2), {kind}" in line and f"| {way} " in line for line in told.splitlines()) == 1


def test_one_cheat_among_honest_models_is_enough_to_fail(ask, tmp_path):
    files = checkpoint(tmp_path / "honest.pth", honest()), checkpoint(tmp_path / "cheat.safetensors", idle())
    assert ask("--model", *files) == 1


def test_a_yardstick_or_teacher_that_does_nothing_is_not_judged(ask, tmp_path):
    files = checkpoint(tmp_path / "honest.pth", honest()), checkpoint(tmp_path / "cheat.safetensors", idle())
    assert ask("--model", files[0], "--yardstick", files[1], teacher=files[1]) == 0


def test_clean_input_alone_says_that_nothing_was_checked(ask, tmp_path, capsys):
    assert ask("--model", checkpoint(tmp_path / "cheat.safetensors", idle()), inputs=("clean",)) == 0
    assert "Not checked against doing nothing: no degraded input was asked for." in capsys.readouterr().out


def test_pictures_that_were_trained_on_are_refused_and_nothing_is_written(ask, own, tmp_path, capsys):
    index, out = index_of(tmp_path, own / "blobs1.png"), tmp_path / "out.json"
    model = checkpoint(tmp_path / "honest.pth", honest())
    assert ask("--model", model, "--train-index", index, "--json", out) == 2
    assert "were trained on" in capsys.readouterr().err
    assert not out.exists()


def test_looks_that_were_trained_on_are_refused(ask, tmp_path, capsys):
    Image.fromarray(smooth(9)).save(tmp_path / "look.png")
    index = index_of(tmp_path, tmp_path / "look.png")
    model = checkpoint(tmp_path / "honest.pth", honest())
    looks = ("--looks", tmp_path / "look.png", "--sheet", tmp_path / "sheet.png")
    assert ask("--model", model, "--train-index", index, *looks) == 2
    assert "look.png" in capsys.readouterr().err


def test_the_teacher_is_in_the_table_and_others_are_compared_with_it(ask, tmp_path):
    files = checkpoint(tmp_path / "honest.pth", honest()), checkpoint(tmp_path / "teacher.safetensors", honest())
    assert ask("--model", files[0], "--json", tmp_path / "out.json", teacher=files[1], inputs=(NOISY,)) == 0
    document = json.loads((tmp_path / "out.json").read_text())
    agreement = {row["way"]: row["agreement"] for row in document["means"]}
    assert set(document["weights_sha256"]) == {"honest", "teacher"}
    assert agreement["honest"] is agreement["teacher"] is None  # equal answers, and the teacher itself
    assert 10 < agreement["do nothing"] < 60


def test_without_an_installed_teacher_the_rest_is_measured_all_the_same(ask, own, tmp_path, capsys):
    model = checkpoint(tmp_path / "honest.pth", honest())
    weights = ("--weights-dir", str(tmp_path / "weights"))
    assert main(["--pictures", str(own), "--inputs", NOISY, "--model", str(model), *weights]) == 0
    assert "no agreement with RealESRGAN_x4plus is measured" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--model", "--yardstick", "--teacher"])
def test_a_model_asked_for_by_name_has_to_be_there(ask, tmp_path, capsys, option):
    model = checkpoint(tmp_path / "honest.pth", honest())
    assert ask("--model", model, option, "RealESRGAN_x4plus") == 2
    assert "RealESRGAN_x4plus are not in" in capsys.readouterr().err


def test_the_same_question_gets_the_same_answer(ask, tmp_path):
    model = checkpoint(tmp_path / "honest.pth", honest())
    documents = []
    for name, inputs in (("a", ("real-esrgan", NOISY)), ("b", (NOISY, "real-esrgan"))):
        ask("--model", model, "--json", tmp_path / name, inputs=inputs)
        rows = json.loads((tmp_path / name).read_text())["means"]
        documents.append(sorted(rows, key=lambda row: (row["kind"], row["way"])))
    assert documents[0] == documents[1]


def test_the_verdict_beside_a_yardstick_is_printed_and_written(ask, tmp_path, capsys):
    files = checkpoint(tmp_path / "honest.pth", honest()), checkpoint(tmp_path / "cheat.safetensors", idle())
    assert ask("--model", files[0], "--yardstick", files[1], "--markdown", tmp_path / "out.md") == 0
    told = capsys.readouterr().out
    assert "honest beside cheat:" in told
    assert "\n- reached: SSIM at least that of cheat: 2 of 2, lowest +0." in told
    assert "\n- not measured: agreement (luma) at least that of cheat\n" in told
    assert (tmp_path / "out.md").read_text() == told


def test_a_sheet_shows_pictures_with_and_without_an_original(ask, tmp_path):
    model = checkpoint(tmp_path / "honest.pth", honest())
    Image.fromarray(smooth(9)).save(tmp_path / "look.png")
    looks = ("--looks", tmp_path / "look.png", "--look-crop", 32)
    ask("--model", model, "--sheet", tmp_path / "both.png", *looks)
    ask("--model", model, "--sheet", tmp_path / "looks.png", *looks, "--only-looks")
    with Image.open(tmp_path / "both.png") as both, Image.open(tmp_path / "looks.png") as only:
        assert both.height > 2 * only.height  # three rows and one
        assert both.width == only.width + 128 + 6  # and a column for the original


@pytest.mark.parametrize(
    "arguments",
    [("--looks", "a.png"), ("--only-looks",), ("--crop", -1), ("--sets", "urban100"), ("--inputs", "nice")],
)
def test_contradictions_are_refused_before_the_work(ask, arguments):
    with pytest.raises(SystemExit) as ended:
        ask("--model", "any", *arguments, inputs=())
    assert ended.value.code == 2


def test_torch_is_not_loaded_before_the_process_is_prepared():
    loaded = "import sys, training.evaluation.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], check=False, cwd=REPOSITORY).returncode == 0


def test_the_help_says_what_the_command_does(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "python -m training.evaluation" in capsys.readouterr().out


def test_a_public_compact_network_is_better_than_doing_nothing(shared, tmp_path):
    weights = shared / "weights/upscayl-lite-4x.pth"
    asked = ["--model", str(weights), "--teacher", "none", "--sets", "kodak", "--inputs", NOISY, "--quick"]
    assert main([*asked, "--weights-dir", str(tmp_path)]) == 0
