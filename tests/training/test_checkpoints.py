"""A checkpoint replaces the last one whole, or not at all; a log never tells of steps that are gone."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from torch import nn

from training.checkpoints import load_checkpoint, save_checkpoint
from training.errors import CheckpointError
from training.log import Log

IDENTITY = {"patches": "a", "settings": "b"}


def parts(seed=0):
    torch.manual_seed(seed)
    network = nn.Conv2d(3, 4, 3)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    network(torch.rand(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    return {"network": network, "optimizer": optimizer}


@pytest.fixture
def kept(tmp_path):
    """A checkpoint of step 7."""
    path = tmp_path / "run" / "checkpoint.pt"
    save_checkpoint(path, parts(), IDENTITY, 7)
    return path


def test_what_was_saved_comes_back(kept):
    ours, other = parts(), parts(1)
    assert load_checkpoint(kept, other, IDENTITY) == 7
    assert torch.equal(ours["network"].weight, other["network"].weight)
    for mine, theirs in zip(*(each["optimizer"].state_dict()["state"].values() for each in (ours, other)), strict=True):
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("error", [OSError("no space left on device"), RuntimeError("PytorchStreamWriter failed")])
def test_a_half_written_checkpoint_never_replaces_a_good_one(kept, monkeypatch, error):
    before = kept.read_bytes()

    def breaking(_content, file):
        file.write(b"half of it")
        raise error

    monkeypatch.setattr(torch, "save", breaking)
    with pytest.raises(CheckpointError, match=r"cannot be written .*; the last checkpoint is as it was"):
        save_checkpoint(kept, parts(1), IDENTITY, 8)
    assert kept.read_bytes() == before
    monkeypatch.undo()
    assert load_checkpoint(kept, parts(1), IDENTITY) == 7
    save_checkpoint(kept, parts(1), IDENTITY, 8)  # what lies there by halves is no hindrance
    assert load_checkpoint(kept, parts(), IDENTITY) == 8
    assert [file.name for file in kept.parent.iterdir()] == ["checkpoint.pt"]


def test_killed_while_it_is_written_the_old_one_stays(kept, monkeypatch):
    before = kept.read_bytes()

    def killed(_content, file):
        file.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(kept, parts(1), IDENTITY, 8)
    assert kept.read_bytes() == before


def test_bytes_are_on_the_disk_before_the_name_is(kept, monkeypatch):
    order = []
    monkeypatch.setattr(os, "fsync", lambda _file: order.append(kept.read_bytes()))
    before = kept.read_bytes()
    save_checkpoint(kept, parts(1), IDENTITY, 8)
    assert order == [before]


def test_a_checkpoint_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"file/checkpoint\.pt cannot be written"):
        save_checkpoint(tmp_path / "file" / "checkpoint.pt", parts(), IDENTITY, 1)


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"PK\x03\x04 a zip that is none", b"\x80\x02}q\x00."],
    ids=["empty", "text", "zip", "pickle"],
)
def test_what_is_no_checkpoint_is_refused_on_one_line(kept, content):
    kept.write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"is no checkpoint \(.*\): delete it, or begin anew with --fresh"
    ) as caught:
        load_checkpoint(kept, parts(), IDENTITY)
    assert "\n" not in str(caught.value)


def test_a_cut_checkpoint_is_refused(kept):
    kept.write_bytes(kept.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        load_checkpoint(kept, parts(), IDENTITY)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(kept, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trapped"),)

    torch.save({"step": 1, "identity": IDENTITY, "parts": Trap()}, kept)
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        load_checkpoint(kept, parts(), IDENTITY)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize(
    ("identity", "words"),
    [({**IDENTITY, "patches": "c"}, "patches"), ({"patches": "x", "settings": "y"}, "patches, settings")],
)
def test_a_checkpoint_of_another_run_is_refused_with_what_differs(kept, identity, words):
    ours = parts(1)
    before = ours["network"].weight.clone()
    with pytest.raises(CheckpointError, match=rf"belongs to another run \(other {words}\)"):
        load_checkpoint(kept, ours, identity)
    assert torch.equal(ours["network"].weight, before)


def test_a_checkpoint_with_other_parts_is_refused(kept):
    with pytest.raises(CheckpointError, match=r"\(other networks\)"):
        load_checkpoint(kept, {**parts(), "discriminator": nn.Conv2d(3, 1, 3)}, IDENTITY)


# The log.


def test_a_log_gets_a_line_for_every_call_and_its_columns_from_the_first(tmp_path):
    log = Log(tmp_path / "run" / "log.csv")
    log.add(20, {"loss": 0.5}, seconds=1.25)
    log.add(40, {"loss": 1 / 3}, seconds=2.5)
    assert (tmp_path / "run" / "log.csv").read_text().splitlines() == [
        "step,loss,seconds", "20,0.5,1.25", "40,0.333333,2.5",
    ]  # fmt: skip


def test_a_figure_that_joins_later_gets_a_column_and_the_lines_before_have_none(tmp_path):
    log = Log(tmp_path / "log.csv")
    log.add(1, {"loss": 0.5})
    log.add(2, {"loss": 0.4, "discriminator": 0.7})
    log.add(3, {"loss": 0.3})
    assert (tmp_path / "log.csv").read_text().splitlines() == [
        "step,loss,discriminator",
        "1,0.5,",
        "2,0.4,0.7",
        "3,0.3,",
    ]


def test_a_resumed_log_loses_the_steps_that_are_made_again(tmp_path):
    log = Log(tmp_path / "log.csv")
    for step in (20, 40, 60):
        log.add(step, {"loss": step / 100})
    Log(tmp_path / "log.csv", since=40).add(60, {"loss": 0.1})
    assert (tmp_path / "log.csv").read_text().splitlines() == ["step,loss", "20,0.2", "40,0.4", "60,0.1"]


def test_a_fresh_log_is_empty(tmp_path):
    Log(tmp_path / "log.csv").add(20, {"loss": 0.5})
    Log(tmp_path / "log.csv").add(10, {"other": 0.25})
    assert (tmp_path / "log.csv").read_text().splitlines() == ["step,other", "10,0.25"]


@pytest.mark.parametrize("torn", ["4", "40", "40,", "x,1\n"])
def test_a_line_that_was_cut_off_is_dropped(tmp_path, torn):
    log = Log(tmp_path / "log.csv")
    log.add(20, {"loss": 0.5}, seconds=1)
    with (tmp_path / "log.csv").open("a") as file:
        file.write(torn)
    Log(tmp_path / "log.csv", since=400)
    assert (tmp_path / "log.csv").read_text().splitlines() == ["step,loss,seconds", "20,0.5,1"]


def test_ctrl_c_while_a_checkpoint_is_written_waits_for_the_end_of_it(kept):
    class Interrupted(nn.Conv2d):
        def state_dict(self, *args, **kwargs):
            signal.raise_signal(signal.SIGINT)
            return super().state_dict(*args, **kwargs)

    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(kept, {"network": Interrupted(3, 4, 3)}, IDENTITY, 8)
    assert load_checkpoint(kept, {"network": nn.Conv2d(3, 4, 3)}, IDENTITY) == 8
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
