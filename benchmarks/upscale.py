"""``python -m benchmarks.upscale``: seconds per megapixel of input, ours against a plain float32 loop.

The plain loop does what RealESRGANer does on this machine: float32, tensors in NCHW order as torch makes them, tiles
one after the other with 10 px around each, results collected in a float picture. Both sides run the same network
with the same weights on the same picture, alternately, in one process; the best of the repeats counts, because
whatever else the machine does can only make it slower. Ours runs without its reflected border of 10 px, which the
plain loop has not, so that what is compared is the engine.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.engine.capacity import OVERLAP, default_tile
from models.engine.device import available_cores, native_cpu_bfloat16, pick_engine
from models.engine.upsampler import Tiling
from models.errors import WeightsMissing
from models.loading import load_model
from models.picture import decode
from models.registry import DEFAULT_MODEL, find_model
from models.restorer import make_upsampler
from models.weights.store import DEFAULT_FOLDER

TILE_PAD = 10  # RealESRGANer's default

Picture = NDArray[np.uint8]
Way = Callable[[Picture], Picture]


@dataclass(frozen=True)
class Measured:
    """One line of the table."""

    name: str
    seconds: float
    result: Picture


def main() -> int:
    """Measure and print the table; the exit status."""
    args = _arguments()
    torch.set_num_threads(args.threads)
    lq = photo(args.picture, args.side) if args.picture else smooth_noise(args.side)
    ways = contestants(args)
    best: dict[str, Measured] = {}
    for _ in range(args.repeats):
        for name, way in ways.items():
            measured = measure(name, way, lq)
            if name not in best or measured.seconds < best[name].seconds:
                best[name] = measured
    sys.stdout.write(
        f"{args.model}, {lq.shape[1]}x{lq.shape[0]} px, {args.threads} threads, best of {args.repeats}, "
        f"bfloat16 instructions: {native_cpu_bfloat16() or 'none'}, torch {torch.__version__}\n\n"
    )
    sys.stdout.writelines(f"{line}\n" for line in table(list(best.values()), lq.shape[0] * lq.shape[1]))
    return 0


def contestants(args: argparse.Namespace) -> dict[str, Way]:
    """Name to a function from (H, W, 3) uint8 to the enlarged picture; the first is what others are held against."""
    ways: dict[str, Way] = {
        "plain float32 NCHW, one tile": plain_way(network_of(args), tile=0),
        "plain float32 NCHW, tiles of 256": plain_way(network_of(args), tile=256),
    }
    for dtype in ("float32", "bfloat16") if native_cpu_bfloat16() else ("float32",):
        engine = pick_engine("cpu", dtype)
        upsampler = make_upsampler(network_of(args), engine)
        tile, batch = default_tile(engine, upsampler.scale)
        tiling = Tiling(tile=tile, overlap=OVERLAP, batch=batch)
        ways[f"Restora {dtype}, tiles of {tile}"] = lambda lq, up=upsampler, how=tiling: up(lq, how)  # type: ignore[misc]
    return ways


def network_of(args: argparse.Namespace) -> nn.Module:
    """The model's network; with random weights, which are as fast, where the real ones are not here."""
    try:
        return load_model(args.model, args.weights_dir)
    except WeightsMissing:
        from models.checkpoints.state_dicts import build_network

        torch.manual_seed(0)
        return build_network(find_model(args.model).architecture).eval().requires_grad_(requires_grad=False)


def plain_way(network: nn.Module, *, tile: int) -> Way:
    """The loop anybody writes first: float32 throughout, clipped windows, a float canvas."""

    def run(lq: Picture) -> Picture:
        picture = torch.from_numpy(lq).permute(2, 0, 1).unsqueeze(0).float().div(255).contiguous()
        with torch.inference_mode():
            sr = network(picture) if not tile else plain_tiles(network, picture, tile)
        levels: Picture = sr.squeeze(0).clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
        return levels

    return run


def plain_tiles(network: nn.Module, picture: Tensor, tile: int) -> Tensor:
    """(1, 3, H, W) through ``network`` in windows of ``tile`` and TILE_PAD around."""
    height, width = picture.shape[-2:]
    canvas: Tensor | None = None
    for y, x in product(range(0, height, tile), range(0, width, tile)):
        top, left = max(y - TILE_PAD, 0), max(x - TILE_PAD, 0)
        window = picture[..., top : y + tile + TILE_PAD, left : x + tile + TILE_PAD]
        sr = network(window)
        scale = sr.shape[-1] // window.shape[-1]
        if canvas is None:
            canvas = torch.zeros(1, 3, height * scale, width * scale)
        down, right = min(tile, height - y) * scale, min(tile, width - x) * scale
        inner_y, inner_x = (y - top) * scale, (x - left) * scale
        core = sr[..., inner_y : inner_y + down, inner_x : inner_x + right]
        canvas[..., y * scale : y * scale + down, x * scale : x * scale + right] = core
    assert canvas is not None  # noqa: S101  a picture has at least one tile
    return canvas


def measure(name: str, way: Way, lq: Picture) -> Measured:
    """Run once, with a clock."""
    start = time.perf_counter()
    result = way(lq)
    return Measured(name, time.perf_counter() - start, result)


def table(rows: list[Measured], pixels: int) -> list[str]:
    """Lines of text; ratios and agreement are against the first row."""
    first = rows[0]
    lines = [f"{'':36}{'s / megapixel':>14}{'times as fast':>15}{'agreement':>12}"]
    for row in rows:
        agreement = "" if row is first else f"{psnr(row.result, first.result):.1f} dB"
        per_megapixel = row.seconds / pixels * 1e6
        lines.append(f"{row.name:36}{per_megapixel:14.1f}{first.seconds / row.seconds:15.2f}{agreement:>12}")
    return lines


def psnr(ours: Picture, theirs: Picture) -> float:
    """Peak signal to noise in dB."""
    error = np.square(ours.astype(float) - theirs).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def photo(path: Path, side: int) -> Picture:
    """The middle of a picture, (side, side, 3) at most; its agreement means more than that of noise."""
    pixels = decode(path.read_bytes(), max_pixels=100_000_000, max_bytes=100_000_000).pixels
    height, width = pixels.shape[:2]
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    return np.ascontiguousarray(pixels[top : top + side, left : left + side], np.uint8)


def smooth_noise(side: int) -> Picture:
    """(side, side, 3) that looks like blurred photographs to a network: what is in it costs no time."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.random((1, 3, side // 8 + 2, side // 8 + 2), np.float32))
    fine = nn.functional.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False)
    picture: Picture = fine.clamp(0, 1).mul(255).byte().squeeze(0).permute(1, 2, 0).contiguous().numpy()
    return picture


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upscale", description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="default: %(default)s")
    parser.add_argument("--side", type=int, default=320, help="of the square picture (default: %(default)s)")
    parser.add_argument("--picture", type=Path, help="an RGB photo, of which the middle is taken (default: noise)")
    parser.add_argument("--repeats", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=available_cores(), help="default: %(default)s")
    parser.add_argument("--weights-dir", type=Path, default=DEFAULT_FOLDER, help="folder of weights")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
