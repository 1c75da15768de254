"""Paths that no file can be found by end in one line, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.cli import main
from models.cli.files import Names
from tests.models.cli.small_model import MODEL
from tests.models.toys import noise, png

LONG = "x" * 256


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("old.png").write_bytes(png(noise(4, 4, 3)))
    Path("loop").symlink_to("pool")
    Path("pool").symlink_to("loop")
    Path("weights").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "unreachable"),
    [
        (["loop", "new.png"], "loop"),
        (["old.png", "loop"], "loop"),
        (["loop/old.png", "new.png"], "loop/old.png"),
        (["old.png", "loop/deep/new.png"], "loop/deep/new.png"),
        ([LONG, "new.png"], LONG),
        (["old.png", f"{LONG}.png"], f"{LONG}.png"),
        (["old.png", "old.png/new.png"], "old.png/new.png"),
        (["old.png", "new.png", "--faces-preview", f"{LONG}.png"], f"{LONG}.png"),
        (["old.png", "new.png", "--faces-masks", "loop/masks"], "loop/masks"),
        (["old.png", "new.png", "--weights-dir", LONG], LONG),
    ],
)
def test_a_path_that_leads_nowhere_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], unreachable: str
) -> None:
    there = sorted(folder.iterdir())
    assert main(["restore", "--weights-dir", "weights", "--model", MODEL, *words]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: cannot reach {unreachable}")
    assert captured.err.count("\n") == 1
    assert sorted(folder.iterdir()) == there


def test_a_link_in_a_circle_is_a_name_that_is_taken(folder: Path) -> None:
    (folder / "a.png").symlink_to("a.png")
    assert Names(folder / "loop").choose(folder, Path("a.jpg"), "png") == folder / "a.jpg.png"
