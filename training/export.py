"""From a checkpoint to the file that the product loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.checkpoints.architecture import Architecture
from models.errors import RestorationError
from models.weights.file import Label, sha256_of, write_sealed
from training.checkpoints import load_checkpoint
from training.errors import CheckpointError, DataError
from training.trainer import CHECKPOINT, Trainer


def export(trainer: Trainer, target: Path) -> str:
    """Write the averaged network, in float16, with a label that says what it is.

    Args:
        trainer: of the run.
        target: a .safetensors file; its name becomes the model's.

    Returns:
        A sentence with size and digest.

    Raises:
        CheckpointError: the run has none.
        DataError: the file cannot be written.
    """
    checkpoint = Path(trainer.settings.train.folder) / CHECKPOINT
    if not checkpoint.exists():
        raise CheckpointError(f"{checkpoint} does not exist: run `python -m training train` first")
    steps = load_checkpoint(checkpoint, trainer.state.parts(), trainer.identity())
    network = trainer.state.average
    state = {name: value.cpu().numpy().astype(np.float16) for name, value in network.state_dict().items()}
    arguments: dict[str, int | str] = {
        "num_in_ch": 3,
        "num_out_ch": 3,
        "num_feat": trainer.settings.network.num_feat,
        "num_conv": trainer.settings.network.num_conv,
        "upscale": network.scale,
        "act_type": "prelu",
    }
    label = Label(
        name=target.stem,
        source=f"trained by Restora, run {trainer.settings.name}, {steps} steps",
        source_sha256=sha256_of(checkpoint),
        licence=trainer.settings.licence,
        architecture=Architecture(name="SRVGGNetCompact", arguments=arguments),
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(target, state, label)
    except (OSError, RestorationError) as exc:
        raise DataError(f"cannot write {target}: {exc}") from exc
    return f"{target}: {target.stat().st_size} bytes, SHA-256 {sha256_of(target)}"
