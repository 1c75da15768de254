"""Pictures to measure on: a real photo where there is one, made to any size, and noise where there is none."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

RGB = NDArray[np.uint8]

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("RESTORA_SHARED", REPOSITORY.parent / "shared"))
PHOTO = SHARED / "images/eval/kodak/kodim05.png"  # much fine detail, and much that is out of focus


def photo(path: Path | None) -> tuple[RGB, str]:
    """The picture asked for, or the usual one where it is here, or smooth noise; and which one it is, in words."""
    if path is None and not PHOTO.is_file():
        return smooth_noise(768), "smooth noise"
    path = path or PHOTO
    with Image.open(path) as image:
        return np.array(image.convert("RGB")), path.name


def mosaic(picture: RGB, width: int, height: int) -> RGB:
    """(height, width, 3) from mirrored copies of ``picture`` that meet without an edge; the middle of a larger one."""
    pair = np.concatenate([picture, picture[:, ::-1]], axis=1)
    block = np.concatenate([pair, pair[::-1]])
    top, left = max(0, (picture.shape[0] - height) // 2), max(0, (picture.shape[1] - width) // 2)
    times = (-(-(top + height) // block.shape[0]), -(-(left + width) // block.shape[1]), 1)
    return np.ascontiguousarray(np.tile(block, times)[top : top + height, left : left + width])


def of_pixels(picture: RGB, pixels: float) -> RGB:
    """A 4:3 mosaic of about so many pixels."""
    height = max(1, round((pixels * 3 / 4) ** 0.5))
    return mosaic(picture, round(height * 4 / 3), height)


def as_jpeg(picture: RGB, quality: int = 90) -> bytes:
    """The file that a user would send."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return file.getvalue()


def smooth_noise(side: int) -> RGB:
    """(side, side, 3) that looks like blurred photographs to a network: what is in it costs no time."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.random((1, 3, side // 8 + 2, side // 8 + 2), np.float32))
    fine = functional.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False)
    picture: RGB = fine.clamp(0, 1).mul(255).byte().squeeze(0).permute(1, 2, 0).contiguous().numpy()
    return picture
