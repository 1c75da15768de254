"""How large a tile suits a device: large enough to waste little on overlap, small enough for its memory."""

from __future__ import annotations

import torch

from models.engine.device import Engine

# Measured with RealESRGAN_x4plus in bfloat16 on two cores: seconds per window pixel rise by a fifth from 128 to 256 px
# (caches), what overlap adds falls from 56 to 27 %; the process takes 0.7 GB at 256 px, 1.9 GB at 512.
CPU_TILE = 256  # px
CUDA_TILE = 384
MIN_TILE = 64  # px; smaller tiles spend more on overlap than on the picture
# RealESRGAN_x4plus against the untiled picture, cut into far too many tiles of 64 px: 40.1 dB with 8 px, 40.9 with the
# reference's 10, 42.8 with 16, 45.7 with 24. The compact networks see 18 px and are within rounding with 16.
OVERLAP = 16  # px

# RRDBNet at its peak holds three tensors of 64 channels at the output's size, and the convolution its workspace.
VALUES_PER_OUTPUT_PIXEL = 256
SHARE_OF_FREE_MEMORY = 0.5
MAX_BATCH = 16


def default_tile(engine: Engine, scale: int) -> tuple[int, int]:
    """Tile side in input pixels, and how many tiles go through the network together."""
    if engine.device.type != "cuda":
        return CPU_TILE, 1
    free, _total = torch.cuda.mem_get_info(engine.device)
    return fit_tile(free, scale, bytes_per_value=engine.dtype.itemsize)


def fit_tile(free_bytes: int, scale: int, *, bytes_per_value: int) -> tuple[int, int]:
    """The largest tile side up to ``CUDA_TILE``, and then the largest batch, that ``free_bytes`` has room for."""
    per_input_pixel = VALUES_PER_OUTPUT_PIXEL * bytes_per_value * scale**2
    room = int(free_bytes * SHARE_OF_FREE_MEMORY) // per_input_pixel  # input pixels at a time
    tile = CUDA_TILE
    while tile > MIN_TILE and (tile + 2 * OVERLAP) ** 2 > room:
        tile //= 2
    tile = max(tile, MIN_TILE)
    return tile, max(1, min(MAX_BATCH, room // (tile + 2 * OVERLAP) ** 2))
