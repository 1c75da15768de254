"""A small real network, brought into a weights folder, and the command that uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models.archs import SRVGGNetCompact
from models.cli import main
from models.weights.store import WeightsStore

MODEL = "small"
RECIPE: dict[str, Any] = {
    "model": MODEL, "outscale": 2.0, "reduced_to": [4, 4], "denoise": None, "strength": 1.0, "colour_lock": True,
    "output_format": "png", "max_output_bytes": None, "tile": None, "overlap": 4, "border": 10,
    "placement": "streamed", "device": "cpu", "dtype": "float32", "threads": 1,
}  # fmt: skip


def bring(folder: Path) -> None:
    """Import the network, which doubles a picture."""
    torch.manual_seed(0)
    checkpoint = folder / "any.pth"
    torch.save({"params": SRVGGNetCompact(num_feat=8, num_conv=2, upscale=2).state_dict()}, checkpoint)
    WeightsStore(folder).import_files((checkpoint,), name=MODEL)
    checkpoint.unlink()


def restore(weights: Path, *arguments: str | Path) -> int:
    """Run the command in this process; its exit status."""
    return main(["restore", *map(str, arguments), "--model", MODEL, "--weights-dir", str(weights), "--device", "cpu"])
