"""The curves of runs."""

from __future__ import annotations

import pytest
from PIL import Image

from training.cli import main
from training.log import Log


@pytest.fixture
def run(tmp_path):
    """A run's folder with what a run writes."""
    log, validation = Log(tmp_path / "run" / "log.csv"), Log(tmp_path / "run" / "validation.csv")
    for step in range(1, 41):
        log.add(step, {"loss": 1 / step})
    for step in (20, 40):
        validation.add(step, {"agreement": 29 + step / 100, "ssim": 0.7})
    return tmp_path / "run"


def test_every_figure_of_a_run_gets_a_panel(run, tmp_path):
    narrow, wide = tmp_path / "narrow.png", tmp_path / "wide.png"
    assert main(["plot", str(run), "--out", str(wide)]) == 0
    (run / "validation.csv").unlink()
    assert main(["plot", str(run), "--out", str(narrow)]) == 0
    with Image.open(wide) as three, Image.open(narrow) as one:
        assert three.width == 3 * one.width


@pytest.mark.parametrize(
    ("arguments", "words"), [(["nowhere"], "log.csv is not there"), (["run", "--out", "x.xyz"], "x.xyz")]
)
def test_what_cannot_be_drawn_is_said_in_one_line(run, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(run.parent)
    assert main(["plot", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
