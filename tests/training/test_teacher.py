"""The teacher is asked once about every patch; a real small network answers, and is counted."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.archs import SRVGGNetCompact
from models.loading import load_model
from models.weights import WeightsStore
from training.devices import Compute
from training.errors import DataError
from training.patches import Patches
from training.teacher import AT_ONCE, KEPT_EVERY, answers

COUNT = 120
PASSES = COUNT // AT_ONCE["cpu"]
CPU = Compute(torch.device("cpu"), torch.float32)


@pytest.fixture
def questions(tmp_path):
    """120 patches of 32 px: enough that answers are kept twice on the way."""
    folder = tmp_path / "patches"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lq = rng.integers(0, 256, (COUNT, 8, 8, 3), dtype=np.uint8)
    gt = rng.integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8)
    return Patches(gt=gt, lq=lq, splits=("train",) * COUNT, true=(True,) * COUNT, folder=folder, digest="a digest")


@pytest.fixture
def weights(tmp_path):
    """A folder of weights with the networks ``toy`` and ``other``, and ``twice`` that only doubles."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for seed, (name, upscale) in enumerate({"toy": 4, "other": 4, "twice": 2}.items()):
        torch.manual_seed(seed)
        network = SRVGGNetCompact(num_feat=4, num_conv=1, upscale=upscale)
        save_file(network.state_dict(), tmp_path / f"{name}.safetensors")
        WeightsStore(folder).import_files((tmp_path / f"{name}.safetensors",), name=name)
    return folder


class Meter:
    """How often networks ran; can pull the plug after some passes."""

    def __init__(self, monkeypatch):
        self.passes, self.plug = 0, None
        monkeypatch.setattr("training.teacher.load_model", self.load)

    def load(self, name, weights):
        network: nn.Module = load_model(name, weights)
        network.register_forward_pre_hook(self.count)
        return network

    def count(self, *_):
        if self.passes == self.plug:
            raise KeyboardInterrupt
        self.passes += 1


@pytest.fixture
def meter(monkeypatch):
    return Meter(monkeypatch)


def interrupted(meter, passes, *asked):
    meter.passes, meter.plug = 0, passes
    with pytest.raises(KeyboardInterrupt):
        answers(*asked)
    meter.passes, meter.plug = 0, None


def truth(questions, weights, model="toy"):
    """What the network says when asked one by one."""
    network = load_model(model, weights)
    with torch.inference_mode():
        said = [network(torch.from_numpy(lq).permute(2, 0, 1)[None].float() / 255) for lq in questions.lq]
    levels = [np.rint(np.clip(one[0].permute(1, 2, 0).numpy(), 0, 1) * 255) for one in said]
    return np.stack(levels).astype(np.uint8)


def test_answers_are_the_network_s_own_in_the_patches_order(questions, weights):
    said = answers(questions, "toy", weights, CPU)
    assert (said.shape, said.dtype) == (questions.gt.shape, np.uint8)
    assert np.abs(said.astype(int) - truth(questions, weights)).max() <= 1  # rounding of a batch
    assert (said != truth(questions, weights)).mean() < 0.001


def test_what_was_answered_is_not_asked_again(questions, weights, meter):
    first = np.array(answers(questions, "toy", weights, CPU))
    assert meter.passes == PASSES
    np.testing.assert_array_equal(answers(questions, "toy", weights, CPU), first)
    assert meter.passes == PASSES


@pytest.mark.parametrize(("passes", "kept"), [(10, 0), (30, KEPT_EVERY), (55, 2 * KEPT_EVERY)])
def test_an_interruption_loses_only_the_last_answers(questions, weights, meter, passes, kept):
    whole = truth(questions, weights)
    interrupted(meter, passes, questions, "toy", weights, CPU)
    said = answers(questions, "toy", weights, CPU)
    assert meter.passes == PASSES - kept // AT_ONCE["cpu"]
    assert np.abs(said.astype(int) - whole).max() <= 1


def test_a_second_interruption_goes_on_from_where_the_first_had_gone_on(questions, weights, meter):
    interrupted(meter, 30, questions, "toy", weights, CPU)
    interrupted(meter, 27, questions, "toy", weights, CPU)  # from 50 past 100
    answers(questions, "toy", weights, CPU)
    assert meter.passes == (COUNT - 2 * KEPT_EVERY) // AT_ONCE["cpu"]


def test_another_teacher_answers_for_itself(questions, weights, meter):
    toy, other = (np.array(answers(questions, model, weights, CPU)) for model in ("toy", "other"))
    assert meter.passes == 2 * PASSES
    assert not np.array_equal(toy, other)
    np.testing.assert_array_equal(answers(questions, "toy", weights, CPU), toy)
    assert meter.passes == 2 * PASSES


def test_new_weights_under_an_old_name_are_asked_anew(questions, weights, meter, tmp_path):
    old = np.array(answers(questions, "toy", weights, CPU))
    WeightsStore(weights).import_files((tmp_path / "other.safetensors",), name="toy", replace=True)
    new = answers(questions, "toy", weights, CPU)
    assert meter.passes == 2 * PASSES
    assert not np.array_equal(old, new)


def test_answers_that_were_begun_anew_are_not_taken_for_the_old_ones(questions, weights, meter, tmp_path):
    """Ask A, begin to ask B under its name, stop, bring A back: what lies there is B's, or nothing."""
    old = np.array(answers(questions, "toy", weights, CPU))
    store = WeightsStore(weights)
    store.import_files((tmp_path / "other.safetensors",), name="toy", replace=True)
    interrupted(meter, 3, questions, "toy", weights, CPU)
    store.import_files((tmp_path / "toy.safetensors",), name="toy", replace=True)
    np.testing.assert_array_equal(answers(questions, "toy", weights, CPU), old)
    assert meter.passes == PASSES


def test_answers_in_another_type_or_to_other_patches_are_asked_anew(questions, weights, meter):
    answers(questions, "toy", weights, CPU)
    answers(questions, "toy", weights, Compute(torch.device("cpu"), torch.bfloat16))
    assert meter.passes == 2 * PASSES
    answers(Patches(**{**vars(questions), "digest": "another"}), "toy", weights, CPU)
    assert meter.passes == 3 * PASSES


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"done": 100}'])
def test_a_damaged_note_beside_the_answers_means_asking_anew(questions, weights, meter, text):
    answers(questions, "toy", weights, CPU)
    (questions.folder / "teacher-toy.json").write_text(text)
    answers(questions, "toy", weights, CPU)
    assert meter.passes == 2 * PASSES


def test_damaged_answers_are_named(questions, weights):
    answers(questions, "toy", weights, CPU)
    file = questions.folder / "teacher-toy.npy"
    file.write_bytes(b"no array")
    with pytest.raises(DataError, match=r"teacher-toy\.npy is damaged"):
        answers(questions, "toy", weights, CPU)


def test_the_note_says_whose_answers_they_are(questions, weights):
    answers(questions, "toy", weights, CPU)
    said = json.loads((questions.folder / "teacher-toy.json").read_text("utf-8"))
    assert (said["model"], said["patches"], said["dtype"], said["done"]) == ("toy", "a digest", "float32", COUNT)


def test_a_teacher_that_is_not_there_or_enlarges_otherwise_is_refused(questions, weights):
    with pytest.raises(DataError, match=r"the teacher: .*nobody"):
        answers(questions, "nobody", weights, CPU)
    with pytest.raises(DataError, match="twice makes pictures 2 times as large, not 4"):
        answers(questions, "twice", weights, CPU)
    assert not list(questions.folder.iterdir())


def test_answers_keep_away_from_the_truth(questions, weights):
    before = questions.gt.copy()
    answers(questions, "toy", weights, CPU)
    np.testing.assert_array_equal(questions.gt, before)


def test_patches_come_as_the_network_wants_them_and_answers_go_back_as_levels():
    levels = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    tensor = CPU.tensor(levels)
    assert (tensor.shape, tensor.dtype) == ((2, 3, 4, 4), torch.float32)
    assert float(tensor[1, 2, 3, 3]) == pytest.approx(levels[1, 3, 3, 2] / 255)
    np.testing.assert_array_equal(Compute.levels(tensor), levels)
    assert Compute.levels(torch.full((1, 3, 1, 1), 7.0)).tolist() == [[[[255, 255, 255]]]]
