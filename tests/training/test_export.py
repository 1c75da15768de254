"""From a checkpoint to the file that the product loads."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open

from models.checkpoints.state_dicts import load_network, load_state_dict
from models.weights import WeightsStore
from models.weights.file import read_label, verify_sealed
from training.errors import CheckpointError, DataError
from training.export import export
from training.trainer import CHECKPOINT


@pytest.fixture
def trained(trainer, tmp_path):
    """A run of sixteen steps, as the process that exports it finds it."""
    trainer().run()
    return trainer()


def pictures():
    return torch.rand(1, 3, 24, 20, generator=torch.Generator().manual_seed(0))


def test_what_is_exported_is_the_averaged_network_within_rounding_to_float16(trained, tmp_path):
    export(trained, tmp_path / "mine.safetensors")
    average = trained.state.average
    network = load_network(
        read_label(tmp_path / "mine.safetensors").architecture, load_state_dict(tmp_path / "mine.safetensors")
    )
    with torch.inference_mode():
        ours, theirs = network(pictures()), average(pictures())
    assert float((ours - theirs).abs().max()) < 0.5 / 255
    rounded = {name: value.half().float() for name, value in average.state_dict().items()}
    for name, value in network.state_dict().items():
        assert torch.equal(value, rounded[name]), name
    assert not torch.equal(average.state_dict()["body.0.weight"], trained.state.network.state_dict()["body.0.weight"])


def test_the_product_takes_it_in_and_gives_the_same_picture(trained, tmp_path):
    export(trained, tmp_path / "mine.safetensors")
    store = WeightsStore(tmp_path / "weights")
    stored = store.import_files((tmp_path / "mine.safetensors",))
    network = load_network(store.verify("mine").architecture, load_state_dict(stored))
    with torch.inference_mode():
        assert float((network(pictures()) - trained.state.average(pictures())).abs().max()) < 0.5 / 255


def test_the_file_says_what_it_is_is_sealed_and_in_float16(trained, tmp_path):
    said = export(trained, tmp_path / "new" / "mine.safetensors")
    file = tmp_path / "new" / "mine.safetensors"
    label = verify_sealed(file)
    assert (label.name, label.licence) == ("mine", "unknown")
    assert label.source == "trained by Restora, run tiny, 16 steps"
    assert label.architecture.arguments["num_feat"] == 8
    with safe_open(file, framework="np") as opened:
        assert {str(opened.get_tensor(key).dtype) for key in opened.keys()} == {"float16"}  # noqa: SIM118
    assert said.startswith(f"{file}: {file.stat().st_size} bytes, SHA-256 ")


def test_the_same_checkpoint_gives_the_same_weights_and_label(trained, trainer, tmp_path):
    files = [tmp_path / name / "mine.safetensors" for name in "ab"]
    for run, file in zip((trained, trainer()), files, strict=True):
        export(run, file)
    ours, theirs = (load_state_dict(file) for file in files)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert read_label(files[0]) == read_label(files[1])


def test_two_ends_can_be_blended(trainer, tmp_path):
    """The detail end starts from the exported network and learns to keep noise; both have one layout."""
    from models.checkpoints.state_dicts import interpolate

    trainer().run()
    export(trainer(), tmp_path / "soft.safetensors")
    second = {"network__start": str(tmp_path / "soft.safetensors"), "train__keep_noise": True, "folder": "detail"}
    trainer(**second).run()
    export(trainer(**second), tmp_path / "detail.safetensors")
    soft, detail = (load_state_dict(tmp_path / f"{name}.safetensors") for name in ("soft", "detail"))
    blend = interpolate(soft, detail, 0.5)
    network = load_network(read_label(tmp_path / "soft.safetensors").architecture, blend)
    with torch.inference_mode():
        assert network(pictures()).isfinite().all()
    assert any(not torch.equal(soft[name], detail[name]) for name in soft)


def test_without_a_checkpoint_there_is_nothing_to_export(trainer, tmp_path):
    with pytest.raises(CheckpointError, match=rf"{CHECKPOINT} does not exist: run `python -m training train` first"):
        export(trainer(), tmp_path / "mine.safetensors")
    assert not (tmp_path / "mine.safetensors").exists()


def test_a_checkpoint_of_another_run_is_not_exported(trainer, tmp_path):
    trainer().run()
    with pytest.raises(CheckpointError, match="belongs to another run"):
        export(trainer(network__num_feat=12), tmp_path / "mine.safetensors")


def test_a_file_that_cannot_be_written_is_named(trained, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot write .*file/mine\.safetensors"):
        export(trained, tmp_path / "file" / "mine.safetensors")
