"""The loop: it learns, it stops and goes on without a trace, and it says what is wrong."""

from __future__ import annotations

import csv
import itertools
import math

import pytest
import torch
from PIL import Image

from tests.training.conftest import weights_of
from training.devices import has_compiler
from training.errors import CheckpointError, TrainingError
from training.settings import DataSettings, TrainSettings
from training.trainer import CHECKPOINT, Trainer

ALL_LOSSES = {"losses__gradient": 0.5, "losses__spectrum": 2.0}
ADVERSARIAL = {"losses__adversarial": 0.1, "losses__adversarial_from": 5, "losses__discriminator_feat": 4}
MUON = {"train__kernel_lr": 0.01}
BFLOAT16 = {"train__dtype": "bfloat16"}
FLOAT32 = {"train__dtype": "float32"}


def rows_of(trainer, name="log.csv"):
    with (trainer.folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert not different


@pytest.fixture
def build(trainer, tmp_path):
    """As ``trainer``; the trainers know their folder."""

    def with_folder(*args, folder="run", **changes):
        built = trainer(*args, folder=folder, **changes)
        built.folder = tmp_path / folder
        return built

    return with_folder


# It learns.


@pytest.mark.parametrize("dtype", [BFLOAT16, FLOAT32], ids=["bfloat16", "float32"])
def test_the_loss_falls_on_a_fixed_seed(build, dtype):
    run = build(train__steps=60, train__sheet_every=60, **ALL_LOSSES, **MUON, **dtype)
    before = run.loss(run.state.network, range(4))
    run.run()
    assert run.loss(run.state.network, range(4)) < 0.9 * before


def test_the_first_answer_is_nearly_the_picture_repeated(build):
    run, lq = build(), torch.rand(1, 3, 16, 16)
    repeated = torch.nn.functional.interpolate(lq, scale_factor=4)
    assert (run.state.network(lq) - repeated).abs().mean() < 0.1


def test_two_runs_of_one_seed_are_the_same_and_of_two_seeds_are_not(build):
    first, again, other = (build(folder=name, train__seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    for run in (first, again, other):
        run.run()
    assert_equal(weights_of(first), weights_of(again))
    assert not torch.equal(weights_of(first)["network.body.0.weight"], weights_of(other)["network.body.0.weight"])


def test_the_average_is_that_of_the_weights_of_all_steps(build):
    """avg <- decay * avg + (1 - decay) * now, with a decay that grows to the given one."""
    run = build(train__ema=0.5)
    name = "body.0.weight"
    wanted = run.state.average.state_dict()[name].clone()
    step_of, seen = run._step, []

    def watched(batches, numbers, step):
        losses = step_of(batches, numbers, step)
        seen.append(run.state.network.state_dict()[name].clone())
        return losses

    run._step = watched
    run.run()
    for step, now in enumerate(seen):
        decay = min(0.5, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * now
    torch.testing.assert_close(run.state.average.state_dict()[name], wanted)
    assert len(seen) == 16


def test_the_rate_rises_in_a_line_and_falls_in_a_cosine(build):
    run = build(train__steps=100, train__warmup=10, train__lr_end=0.1)
    rates = [run._rate(step) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert max(rates) == 1 == rates[10]
    assert rates[55] == pytest.approx(0.1 + 0.9 / 2)  # half of the way
    assert all(before > after for before, after in itertools.pairwise(rates[10:]))
    assert 0.1 < rates[-1] < 0.102


def test_every_optimizer_ends_at_the_rate_of_the_log(build):
    run = build(**MUON, train__lr_end=0.25)
    run.run()
    last = float(rows_of(run)[-1]["lr"])
    assert [o.param_groups[0]["lr"] for o in run.state.optimizers] == pytest.approx(
        [2e-3 * last, 0.01 * last], rel=1e-4
    )


def test_muon_moves_the_square_kernels_and_adam_all_others(build):
    run = build(**MUON)
    adam, muon = run.state.optimizers
    moved = [parameter for group in muon.param_groups for parameter in group["params"]]
    assert [tuple(parameter.shape) for parameter in moved] == [(8, 8, 3, 3)]
    everything = sum(len(group["params"]) for each in (adam, muon) for group in each.param_groups)
    assert everything == len(list(run.state.network.parameters()))


def test_a_teacher_s_answers_are_followed_where_they_differ_from_the_truth(build, prepared):
    """A teacher that paints everything gray: the network has to go gray, whatever the truth is."""
    gray = 0 * prepared.gt + 128
    run = build(
        teacher=gray, losses__gt=0.0, losses__teacher=1.0, teacher__model="toy", train__steps=80, train__sheet_every=80
    )
    before = run.loss(run.state.network, range(4))
    run.run()
    assert run.loss(run.state.network, range(4)) < 0.8 * before


def test_the_adversarial_phase_begins_when_it_should(build):
    run = build(**ADVERSARIAL)
    before = {key: value.clone() for key, value in run.state.discriminator.state_dict().items()}
    run.run(until=5)
    assert all(torch.equal(before[key], value) for key, value in run.state.discriminator.state_dict().items())
    run.run(fresh=True)
    assert any(not torch.equal(before[key], value) for key, value in run.state.discriminator.state_dict().items())
    rows = rows_of(run)
    assert rows[0]["adversarial"] == ""  # a column that joined later
    assert float(rows[-1]["discriminator"]) == pytest.approx(math.log(2), abs=0.3)
    assert all(math.isfinite(float(value)) for value in rows[-1].values())


def test_the_network_s_turn_leaves_the_discriminator_s_gradients_alone(build):
    run = build(**{**ADVERSARIAL, "losses__adversarial_from": 0})
    run.run(until=1)
    run.state.discriminator.zero_grad()
    sr = torch.rand(1, 3, 64, 64, requires_grad=True)
    run._losses(sr, sr.detach(), sr.detach(), 1)["loss"].backward()
    assert all(parameter.grad is None for parameter in run.state.discriminator.parameters())
    assert sr.grad.abs().sum() > 0


def test_a_start_s_weights_come_first(build, tmp_path):
    first = build(folder="first")
    first.run()
    torch.save(first.state.average.state_dict(), tmp_path / "start.pth")
    second = build(folder="second", network__start=str(tmp_path / "start.pth"))
    for name, value in first.state.average.state_dict().items():
        assert torch.equal(second.state.network.state_dict()[name], value)
        assert torch.equal(second.state.average.state_dict()[name], value)


def test_a_start_may_be_the_checkpoint_of_another_run_whose_average_is_taken(build):
    first = build(folder="first")
    first.run()
    second = build(folder="second", network__start=str(first.folder / CHECKPOINT))
    for name, value in first.state.average.state_dict().items():
        assert torch.equal(second.state.network.state_dict()[name], value)


def test_a_start_that_does_not_fit_is_refused(build, tmp_path):
    torch.save(build(network__num_feat=12).state.network.state_dict(), tmp_path / "start.pth")
    with pytest.raises(
        CheckpointError, match=r"start\.pth is of another network than .* num_feat = 8 and num_conv = 1$"
    ):
        build(network__start=str(tmp_path / "start.pth"))


@pytest.mark.parametrize("content", [None, b"", b"no weights"])
def test_a_start_that_holds_no_weights_is_refused_on_one_line(build, tmp_path, content):
    if content is not None:
        (tmp_path / "start.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"network\.start = .*start\.pth: ") as caught:
        build(network__start=str(tmp_path / "start.pth"))
    assert "\n" not in str(caught.value)


# It stops and goes on.


@pytest.mark.parametrize(
    "changes", [{}, MUON, {**ADVERSARIAL, **ALL_LOSSES}, FLOAT32], ids=["adam", "muon", "adversarial", "float32"]
)
@pytest.mark.parametrize("stop", [6, 9], ids=["at a checkpoint", "between two"])
def test_a_run_that_was_killed_and_resumed_ends_bit_for_bit_as_one_that_was_not(build, changes, stop):
    straight, killed, resumed = (build(folder=name, **changes) for name in ("straight", "stopped", "stopped"))
    straight.run()
    killed.run(until=stop)
    assert killed.state.step == stop
    resumed.run()
    assert_equal(weights_of(resumed), weights_of(straight))


def test_a_resumed_run_makes_only_the_steps_that_are_missing(build):
    build().run(until=13)
    resumed = build()
    steps, step_of = [], resumed._step
    resumed._step = lambda batches, numbers, step: steps.append(step) or step_of(batches, numbers, step)
    resumed.run()
    assert steps == [12, 13, 14, 15]


def test_a_run_that_is_done_stays_as_it_is(build):
    first = build()
    first.run()
    before, lines = weights_of(first), rows_of(first)
    again = build()
    assert again.run().step == 16
    assert_equal(weights_of(again), before)
    assert rows_of(again) == lines


def test_the_log_of_a_resumed_run_has_every_step_once(build):
    build().run(until=11)
    assert [row["step"] for row in rows_of(build())] == ["4", "8"]
    resumed = build()
    resumed.run()
    assert [row["step"] for row in rows_of(resumed)] == ["4", "8", "12", "16"]


def test_a_fresh_run_begins_everything_anew(build):
    first = build(train__sheet_every=4)
    first.run()
    assert len(rows_of(first, "validation.csv")) == 4
    fresh = build(train__sheet_every=16)
    fresh.run(fresh=True)
    assert [row["step"] for row in rows_of(fresh, "validation.csv")] == ["16"]
    assert [row["step"] for row in rows_of(fresh)] == ["4", "8", "12", "16"]
    assert_equal(weights_of(fresh), weights_of(first))


@pytest.mark.parametrize(
    "changes",
    [{"train__lr": 1e-3}, {"network__num_feat": 12}, {"losses__gradient": 1.0}, {"train__seed": 5}, ADVERSARIAL],
)
def test_a_checkpoint_of_other_settings_is_refused_and_kept(build, changes):
    first = build()
    first.run()
    kept = (first.folder / CHECKPOINT).read_bytes()
    with pytest.raises(
        CheckpointError, match=r"belongs to another run \(other settings\): set train.folder, or .*--fresh"
    ):
        build(**changes).run()
    assert (first.folder / CHECKPOINT).read_bytes() == kept


def test_a_checkpoint_of_other_patches_is_refused(build):
    build().run(until=6)
    other = build()
    other.patches = type(other.patches)(**{**vars(other.patches), "digest": "of others"})
    with pytest.raises(CheckpointError, match=r"belongs to another run \(other patches\)"):
        other.run()


@pytest.mark.parametrize("name", ["log_every", "checkpoint_every", "sheet_every", "threads"])
def test_how_often_a_run_is_looked_at_may_change_in_between(build, name):
    build().run(until=6)
    resumed = build(**{f"train__{name}": 2})
    resumed.run()
    assert resumed.state.step == 16


def test_identity_is_what_it_has_been(build):
    """Runs of weeks hang on these words: whoever changes them throws away their checkpoints."""
    run = build()
    digest, settings = run.identity()["patches"], run.identity()["settings"]
    assert digest == run.patches.digest
    assert settings == (
        "(NetworkSettings(num_feat=8, num_conv=1, start=''), LossSettings(gt=1.0, teacher=0.0, gradient=0.0, "
        "spectrum=0.0, perceptual=0.0, adversarial=0.0, vgg19='', adversarial_from=0, "
        "discriminator_feat=16, real='gt'), {'steps': 16, 'batch': 2, 'crop': 16, "
        "'margin': 2, 'lr': 0.002, 'kernel_lr': 0.0, "
        "'lr_end': 0.01, 'warmup': 2, 'weight_decay': 0.0, 'clip': 1.0, 'ema': 0.999, "
        "'keep_noise': False, 'seed': 0, 'device': 'cpu', "
        "'dtype': 'bfloat16'})"
    )
    assert DataSettings.__dataclass_fields__.keys() == {
        "pictures", "folder", "patches", "side", "sizes", "degradations", "validation", "seed",
    }  # fmt: skip
    assert len(TrainSettings.__dataclass_fields__) == 21


# It says what is wrong.


@pytest.mark.parametrize("log_every", [1, 100], ids=["at a line of the log", "before a checkpoint"])
def test_a_loss_that_is_no_number_ends_the_run_before_it_is_kept(build, log_every):
    run = build(train__log_every=log_every)
    step_of = run._step

    def spoiled(batches, numbers, step):
        if step == 7:
            with torch.no_grad():
                run.state.network.body[0].weight.fill_(math.nan)
        return step_of(batches, numbers, step)

    run._step = spoiled
    with pytest.raises(TrainingError, match=r"the loss is no number any more at step .*loss nan.*lower train.lr"):
        run.run()
    resumed = build(train__log_every=log_every)  # the checkpoint of step 6 is sound
    resumed.run()
    assert all(bool(value.isfinite().all()) for value in weights_of(resumed).values())


def test_where_there_is_no_terminal_there_is_a_line_for_every_line_of_the_log(build, capsys):
    build().run()
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines if line.startswith("tiny")] == [
        f"tiny: {step} of 16" for step in (4, 8, 12, 16)
    ]
    assert ", loss 0." in lines[0]
    assert lines[-1].startswith("step 16: psnr ")


def test_a_look_gives_figures_and_a_sheet(build, prepared):
    run = build()
    run.run()
    (row,) = rows_of(run, "validation.csv")
    assert 5 < float(row["psnr"]) < 60
    assert 0 < float(row["ssim"]) < 1
    with Image.open(run.folder / "sheet-000016.png") as sheet:
        assert sheet.width == 4 * 96  # input, bicubic, ours, truth
        assert (sheet.height - 18) % 96 == 0


def test_without_validation_patches_there_is_no_look_and_no_warning(build):
    run = build()
    run.patches = type(run.patches)(**{**vars(run.patches), "splits": ("train",) * 12})
    run.run()
    assert not list(run.folder.glob("sheet*"))
    assert not (run.folder / "validation.csv").exists()


def test_a_trainer_s_parts_are_all_it_is(build):
    """What a checkpoint holds is every tensor in the state: nothing the next step depends on is left out."""
    plain, adversarial = build(**MUON), build(**ADVERSARIAL)
    assert plain.state.parts().keys() == {"network", "average", "optimizer 0", "optimizer 1"}
    assert adversarial.state.parts().keys() == {
        "network", "average", "optimizer 0", "discriminator", "discriminator optimizer",
    }  # fmt: skip
    assert isinstance(plain, Trainer)


# Built for this machine.


@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler is installed")
@pytest.mark.filterwarnings("ignore")  # of torch about itself, while it builds
def test_a_built_run_learns_as_an_unbuilt_one_and_resumes_bit_for_bit(build, monkeypatch):
    monkeypatch.setenv("SETUPTOOLS_USE_DISTUTILS", "stdlib")  # else it refuses where a test has imported that before
    plain, built = build(folder="plain"), build(folder="built", train__compile=True)
    plain.run()
    built.run()
    start, learned = weights_of(build(folder="none")), weights_of(plain)
    for name, value in weights_of(built).items():
        if name.startswith("network."):
            way = (learned[name] - start[name]).norm()
            assert (value - learned[name]).norm() < 0.2 * way + 1e-6, name
    build(folder="stopped", train__compile=True).run(until=8)
    resumed = build(folder="stopped", train__compile=True)
    resumed.run()
    assert_equal(weights_of(resumed), weights_of(built))


def test_without_a_compiler_a_run_says_so_and_goes_on_as_ever(build, monkeypatch, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler")
    plain, built = build(folder="plain"), build(folder="built", train__compile=True)
    plain.run()
    built.run()
    assert_equal(weights_of(built), weights_of(plain))
    assert "no C++ compiler (g++) is installed" in capsys.readouterr().err
