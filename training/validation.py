"""A look at patches of pictures that are never trained on: figures, and a sheet for the eye."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import nn

from benchmarks.scores import luma, psnr, ssim, within
from training.degradations import SCALE
from training.devices import Compute
from training.patches import Patches

Levels = NDArray[np.uint8]
FIGURES, SHOWN = 48, 8  # patches that are measured, and that a sheet shows
LINE = 18  # px, height of a heading


class Look(NamedTuple):
    """Figures by name, and for the sheet one row of pictures for each patch."""

    figures: dict[str, float]
    sheet: list[dict[str, Levels]]


def look(network: nn.Module, patches: Patches, teacher: Levels | None, compute: Compute) -> Look:
    """Measure a network.

    Args:
        network: in float32; bfloat16 is left to training.
        patches: those of the validation side are looked at.
        teacher: answers to compare with.
        compute: where the network is.

    Returns:
        Means of PSNR and SSIM on luma, of sharpness (mean gradient relative to the truth's), and with a teacher of
        the PSNR between both answers; nothing where no patch is on the validation side.
    """
    numbers = [number for number in patches.numbers("validation") if patches.true[number]][:FIGURES]
    seen: dict[str, list[float]] = {"psnr": [], "ssim": [], "sharpness": []}
    rows: list[dict[str, Levels]] = []
    for number in numbers:
        lq, gt = np.array(patches.lq[number]), np.array(patches.gt[number])
        with torch.inference_mode():
            asked = torch.from_numpy(lq[None]).to(compute.device).permute(0, 3, 1, 2).float() / 255
            sr = compute.levels(network(asked))[0]
        ours, theirs = within(luma(sr), SCALE), within(luma(gt), SCALE)
        seen["psnr"].append(psnr(ours, theirs))
        seen["ssim"].append(ssim(ours, theirs))
        seen["sharpness"].append(_steepness(ours) / max(_steepness(theirs), 1e-6))
        answer = None if teacher is None else np.array(teacher[number])
        if answer is not None:
            seen.setdefault("agreement", []).append(psnr(ours, within(luma(answer), SCALE)))
        if len(rows) < SHOWN:
            taught = {} if answer is None else {"teacher": answer}
            rows.append({**_enlarged(lq), "ours": sr, **taught, "truth": gt})
    return Look({name: float(np.mean(values)) for name, values in seen.items() if values}, rows)


def _steepness(plane: NDArray[np.float64]) -> float:
    return float(np.abs(np.diff(plane, axis=0)).mean() + np.abs(np.diff(plane, axis=1)).mean())


def _enlarged(lq: Levels) -> dict[str, Levels]:
    size, whole = (lq.shape[1] * SCALE, lq.shape[0] * SCALE), Image.fromarray(lq)
    filters = {"input": Image.Resampling.NEAREST, "bicubic": Image.Resampling.BICUBIC}
    return {name: np.asarray(whole.resize(size, filter_)) for name, filter_ in filters.items()}


def save_sheet(rows: list[dict[str, Levels]], path: Path) -> None:
    """Write pictures of one size as a table with headings; without rows, nothing."""
    if not rows:
        return
    whole = np.vstack([np.hstack(list(row.values())) for row in rows])
    sheet = Image.new("RGB", (whole.shape[1], whole.shape[0] + LINE), "white")
    sheet.paste(Image.fromarray(whole), (0, LINE))
    draw, width = ImageDraw.Draw(sheet), whole.shape[1] // len(rows[0])
    for column, head in enumerate(rows[0]):
        draw.text((column * width + 4, 3), head, fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
