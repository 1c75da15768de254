"""What the models are good for, and in which order; see ``python -m benchmarks.choices``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.planning.offers import Kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Rating:
    """How a model compares.

    Args:
        purposes: the kinds of picture it is good for.
        rank: among models of the same purpose, 0 the best.
        measured: False where we go by its makers' word.
        everyday: what people usually get where the best would keep them waiting, see ``Budget.patience_s``.
    """

    purposes: tuple[Kind, ...]
    rank: int
    measured: bool = True
    everyday: bool = False


# Against the truth, in dB of the luma, of pictures sent as JPEG of quality 85 and doubled:
#   rendered text   RealESRGAN_x4plus 22.1, the video model 21.9, the drawing model 21.3, Lanczos 19.7
# The drawing model bends letters into others. Photographs of quality 50, doubled: the video model is nearer to the
# truth (26.9, SSIM 0.744) than RealESRGAN_x4plus (26.7, 0.735) and Lanczos (26.9, 0.722), but smooths what
# RealESRGAN_x4plus draws, so it stands in for want of time.
# Our own compact network was taught by RealESRGAN_x4plus and takes a small part of its time: weights/MODEL_CARD.md.
RATINGS: Mapping[str, Rating] = {
    "RealESRGAN_x4plus": Rating(purposes=("photo", "text"), rank=0),
    "RealESRGAN_x2plus": Rating(purposes=("photo", "text"), rank=1, measured=False),
    "restora-compact": Rating(purposes=("photo",), rank=2, everyday=True),
    "RealESRNet_x4plus": Rating(purposes=("photo",), rank=3, measured=False),
    "realesr-general-x4v3": Rating(purposes=("photo", "text"), rank=4, measured=False),
    "RealESRGAN_x4plus_anime_6B": Rating(purposes=("drawing",), rank=0),
    "realesr-animevideov3": Rating(purposes=("drawing", "text", "photo"), rank=5),
}
