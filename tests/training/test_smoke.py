"""The smoke test of training, in a tiny form."""

from __future__ import annotations

import pytest
import torch

from training.cli import RUNS
from training.settings import read_settings
from training.smoke import SmokeError, smoke
from training.trainer import Trainer

TINY = {
    "data.patches": "16", "data.side": "96", "network.num_feat": "8", "network.num_conv": "1", "train.steps": "40",
    "train.batch": "2", "train.crop": "16", "train.margin": "2", "train.threads": "1", "train.device": "cpu",
    "train.checkpoint_every": "8", "train.sheet_every": "40", "train.lr": "5e-3", "train.warmup": "4",
}  # fmt: skip


def tiny(**changes):
    return read_settings(
        RUNS / "smoke.toml", {**TINY, **{key.replace("__", "."): value for key, value in changes.items()}}
    )


def test_a_small_network_learns_and_resumes_bit_for_bit(pictures, tmp_path, capsys):
    smoke(tiny(), tmp_path, pictures)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("loss 0.")
    assert "resumed: all " in second
    assert second.endswith("bit for bit")


def test_drawings_are_made_where_there_are_no_pictures(tmp_path):
    smoke(tiny(), tmp_path, None)
    assert len(list((tmp_path / "pictures").iterdir())) == 16


def test_a_loss_that_does_not_fall_is_a_failure(pictures, tmp_path):
    with pytest.raises(SmokeError, match=r"the loss should have fallen to 0\.\d+ at least"):
        smoke(tiny(train__lr="1e-9"), tmp_path, pictures)


def test_one_bit_of_difference_after_resuming_is_a_failure(pictures, tmp_path, monkeypatch):
    run = Trainer.run

    def forgetful(self, *, fresh=False, until=None):
        state = run(self, fresh=fresh, until=until)
        if not fresh:
            with torch.no_grad():
                bias = state.average.state_dict()["body.0.bias"]
                bias[0] = torch.nextafter(bias[0], torch.tensor(9.0))
        return state

    monkeypatch.setattr(Trainer, "run", forgetful)
    with pytest.raises(SmokeError, match=r"1 of \d+ tensors differ .*: average\.body\.0\.bias"):
        smoke(tiny(), tmp_path, pictures)
