"""A network that sees black as a little less than black."""

from __future__ import annotations

import pytest
import torch

from models.archs.srvgg import SRVGGNetCompact
from models.checkpoints.architecture import Architecture
from models.checkpoints.state_dicts import load_network, load_state_dict
from models.weights.file import Label, read_label, verify_sealed, write_sealed
from training.cli import main
from training.lift import LIFT

ARGUMENTS = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_conv": 3, "upscale": 4, "act_type": "prelu"}
REACH = 6  # px that the five convolutions of this network see, and one


@pytest.fixture
def exported(tmp_path):
    """A network with weights by chance, and its file."""
    torch.manual_seed(0)
    network = SRVGGNetCompact(**ARGUMENTS).eval()
    architecture = Architecture(name="SRVGGNetCompact", arguments=ARGUMENTS)
    label = Label(name="mine", source="chance", source_sha256="0" * 64, licence="MIT", architecture=architecture)
    file = tmp_path / "mine.safetensors"
    write_sealed(file, {name: value.numpy() for name, value in network.state_dict().items()}, label)
    return network, file


def test_it_answers_as_the_old_one_does_to_a_picture_with_lifted_blacks(exported, tmp_path):
    network, file = exported
    assert main(["lift", str(file), str(tmp_path / "lifted.safetensors")]) == 0
    label = verify_sealed(tmp_path / "lifted.safetensors")
    assert (label.name, label.source) == ("lifted", "chance, blacks lifted by 20 of 255")
    lifted = load_network(label.architecture, load_state_dict(tmp_path / "lifted.safetensors")).eval()
    lq = torch.rand(1, 3, 30, 40)
    inside = (..., slice(4 * REACH, -4 * REACH), slice(4 * REACH, -4 * REACH))
    with torch.inference_mode():
        expected = (network(lq * (1 - LIFT) + LIFT) - LIFT) / (1 - LIFT)
        difference = (lifted(lq) - expected)[inside].abs().max()
        assert difference < 1e-5
        assert (lifted(lq) - network(lq))[inside].abs().max() > 10 * difference


def test_nothing_is_lifted_twice_and_no_other_architecture(exported, tmp_path, capsys):
    _, file = exported
    lifted, other = tmp_path / "lifted.safetensors", tmp_path / "other.safetensors"
    main(["lift", str(file), str(lifted)])
    assert main(["lift", str(lifted), str(tmp_path / "twice.safetensors")]) == 1
    assert "lifted already" in capsys.readouterr().err
    label = read_label(file)
    write_sealed(other, {}, Label(**{**vars(label), "architecture": Architecture(name="RRDBNet", arguments={})}))
    assert main(["lift", str(other), str(tmp_path / "new.safetensors")]) == 1
    assert "RRDBNet" in capsys.readouterr().err
    assert main(["lift", str(tmp_path / "none.safetensors"), str(tmp_path / "new.safetensors")]) == 1
    assert "none.safetensors" in capsys.readouterr().err
    assert not (tmp_path / "new.safetensors").exists()
