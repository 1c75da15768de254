"""What a larger network answers to the degraded patches, asked once and kept on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from models.errors import RestorationError
from models.loading import digest_of, load_model
from training.degradations import SCALE
from training.devices import Compute
from training.errors import DataError
from training.patches import Patches
from training.progress import Progress

AT_ONCE = {"cpu": 2, "cuda": 16}  # patches per pass
KEPT_EVERY = 50  # patches; as many may have to be asked again after an interruption


def answers(patches: Patches, model: str, weights: Path, compute: Compute) -> NDArray[np.uint8]:
    """The teacher's answer to every degraded patch.

    What was answered before is not asked again, even after an interruption: a file beside the answers says whose they
    are and how far they go.

    Args:
        patches: the questions.
        model: an installed model that makes pictures four times as large.
        weights: folder of the models.
        compute: where it runs.

    Returns:
        (N, S, S, 3) uint8 RGB, mapped from the disk.

    Raises:
        DataError: the model is missing or does not make pictures four times as large.
    """
    try:
        network, digest = load_model(model, weights), digest_of(model, weights)
    except RestorationError as exc:
        raise DataError(f"the teacher: {exc}") from exc
    if network.scale != SCALE:
        raise DataError(f"{model} makes pictures {network.scale} times as large, not {SCALE}")
    file, state = patches.folder / f"teacher-{model}.npy", patches.folder / f"teacher-{model}.json"
    asked = {"model": model, "sha256": digest, "patches": patches.digest, "dtype": compute.dtype_name}
    done = _answered(state, asked) if file.exists() else 0
    if not done:
        state.unlink(missing_ok=True)  # it told of answers that are about to go
    try:
        kept = open_memmap(file, "r+") if done else open_memmap(file, "w+", np.uint8, patches.gt.shape)
    except ValueError as exc:
        raise DataError(f"{file} is damaged ({exc}): delete it") from exc
    if done < len(kept):
        network = compute.ready(network.eval())
        with Progress(f"answers of {model}", len(kept), done=done) as progress:
            for start in range(done, len(kept), AT_ONCE[compute.device.type]):
                stop = min(start + AT_ONCE[compute.device.type], len(kept))
                with torch.inference_mode():
                    sr = network(compute.tensor(patches.lq[start:stop]))
                kept[start:stop] = compute.levels(sr)
                progress.advance(stop - start)
                if stop // KEPT_EVERY > start // KEPT_EVERY or stop == len(kept):
                    kept.flush()
                    state.write_text(json.dumps({**asked, "done": stop}), "utf-8")
    return np.asarray(np.load(file, mmap_mode="r"))


def _answered(state: Path, asked: dict[str, str]) -> int:
    try:
        kept = json.loads(state.read_text("utf-8"))
        return int(kept["done"]) if {**kept, "done": 0} == {**asked, "done": 0} else 0
    except (OSError, ValueError, KeyError, TypeError):  # none, or cut off while it was written
        return 0
