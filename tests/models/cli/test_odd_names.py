"""Names and signs that stdout has no letters for are written all the same."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from tests.models.cli.small_model import restore
from tests.models.toys import noise, png


def strict(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", write_through=True)


def written_to(stream: io.TextIOWrapper) -> str:
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode(stream.encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "koi8-r"])
@pytest.mark.parametrize("wish", ["--no-colour-lock", "--json"])  # words, or an object
def test_a_folder_with_a_name_of_no_alphabet_is_told_of_to_its_end(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, wish: str
) -> None:
    odd = tmp_path / "in" / os.fsdecode(b"\xff\xfe.png")
    odd.parent.mkdir()
    odd.write_bytes(png(noise(4, 4, 3)))
    odd.with_name("Бабушка.txt").write_text("no picture")
    out, err = strict(encoding), strict(encoding)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert restore(weights, odd.parent, tmp_path / "out", wish) == 0
    assert "skipped" in written_to(err)
    if wish == "--json":
        assert Path(json.loads(written_to(out))["in"]) == odd
    else:
        assert "\\udcff\\udcfe.png -> " in written_to(out)
