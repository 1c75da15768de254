from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.archs import SRVGGNetCompact
from models.errors import OptionsError, WeightsMissing
from training.checkpoints import save_checkpoint
from training.evaluation import ways
from training.evaluation.errors import EvaluationError
from training.evaluation.ways import BICUBIC, DO_NOTHING, LANCZOS, Network, baselines, labels, open_network

from .makers import checkpoint, gray, honest, idle, smooth

CPU = torch.device("cpu")


def opened(file: Path) -> Network:
    return open_network(str(file), weights_dir=file.parent, device=CPU, answers=None)


def test_doing_nothing_repeats_every_pixel():
    lq = smooth(0, 16)
    assert np.array_equal(baselines()[DO_NOTHING](lq), lq.repeat(4, axis=0).repeat(4, axis=1))


@pytest.mark.parametrize(
    ("name", "filter_"), [(BICUBIC, Image.Resampling.BICUBIC), (LANCZOS, Image.Resampling.LANCZOS)]
)
def test_the_filters_are_pillow_s(name, filter_):
    lq = smooth(0, 16)
    assert np.array_equal(baselines()[name](lq), np.asarray(Image.fromarray(lq).resize((64, 64), filter_)))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_network_of_zeros_does_nothing(tmp_path, suffix):
    lq = smooth(0, 16)[:12]
    network = opened(checkpoint(tmp_path / f"idle{suffix}", idle()))
    assert np.array_equal(network(lq), baselines()[DO_NOTHING](lq))


def test_averaged_weights_go_before_the_last_ones(tmp_path):
    lq = smooth(0, 16)
    answer = opened(checkpoint(tmp_path / "honest.pth", honest()))(lq)  # its other weights are zeros
    assert np.array_equal(answer, opened(checkpoint(tmp_path / "honest.safetensors", honest()))(lq))
    assert not np.array_equal(answer, baselines()[DO_NOTHING](lq))


def test_a_run_s_checkpoint_is_judged_by_its_average(tmp_path):
    parts = {"network": idle(), "average": honest()}
    save_checkpoint(tmp_path / "checkpoint.pt", parts, {"settings": "any"}, step=3)
    lq = smooth(0, 16)
    answer = opened(tmp_path / "checkpoint.pt")(lq)
    assert np.array_equal(answer, opened(checkpoint(tmp_path / "honest.safetensors", honest()))(lq))


def test_a_network_gets_the_picture_and_gives_levels_rounded_to_nearest():
    class Brighter(torch.nn.Module):
        def forward(self, lq: torch.Tensor) -> torch.Tensor:
            assert (lq.shape, lq.dtype) == ((1, 3, 5, 7), torch.float32)
            return lq.repeat_interleave(4, 2).repeat_interleave(4, 3) + 0.4 / 255

    lq = smooth(3, 8)[:5, :7]
    network = Network(Brighter(), digest="0" * 64, device=CPU, answers=None)
    assert np.array_equal(network(lq), baselines()[DO_NOTHING](lq))


def test_a_network_that_gives_no_numbers_is_refused():
    class Broken(torch.nn.Module):
        def forward(self, lq: torch.Tensor) -> torch.Tensor:
            return lq / 0

    with pytest.raises(EvaluationError, match="infinite or not numbers"):
        Network(Broken(), digest="0" * 64, device=CPU, answers=None)(gray(0))


def test_answers_of_slow_networks_are_kept_by_input_and_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(ways, "SLOW", 0)
    lq, other = smooth(0, 16), smooth(1, 16)

    def network(of: SRVGGNetCompact, digest: str) -> Network:
        return Network(of, digest=digest * 64, device=CPU, answers=tmp_path)

    first = network(honest(), "a")(lq)
    assert np.array_equal(network(idle(), "a")(lq), first)  # not asked again
    assert not np.array_equal(network(idle(), "b")(lq), first)
    assert not np.array_equal(network(idle(), "a")(other), first)
    assert sorted(file.suffix for file in tmp_path.rglob("*.*")) == [".png"] * 3


def test_answers_of_quick_networks_are_not_kept(tmp_path):
    Network(honest(), digest="a" * 64, device=CPU, answers=tmp_path)(smooth(0, 16))
    assert list(tmp_path.iterdir()) == []


def test_a_network_of_another_scale_is_refused(tmp_path):
    file = checkpoint(tmp_path / "twice.safetensors", SRVGGNetCompact(num_feat=3, num_conv=1, upscale=2))
    with pytest.raises(EvaluationError, match="only ×4 networks of 3 colours"):
        opened(file)


def test_a_file_or_name_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WeightsMissing, match=r"none\.pth is not there"):
        opened(tmp_path / "none.pth")
    with pytest.raises(OptionsError, match="none"):
        open_network("none", weights_dir=tmp_path, device=CPU, answers=None)


def test_files_are_called_by_their_stems_unless_two_would_be_called_the_same():
    asked = ["runs/a/last.pth", "runs/b/last.pth", "runs/b/best.pth", "RealESRGAN_x4plus", "bicubic.pth"]
    assert list(labels(asked).values()) == [
        "runs/a/last.pth", "runs/b/last.pth", "best", "RealESRGAN_x4plus", "bicubic.pth",
    ]  # fmt: skip
