"""``python -m benchmarks.encode``: seconds to write a result, ours against the codecs' own encoders.

The picture is a photo, or a drawing, repeated in mirrored copies up to 8, 20 and 32 megapixels. All ways get the
same pixels, alternately, in one process; the best of the repeats counts, because whatever else the machine does can
only make it slower. What is compared decodes to the same pixels, which is checked once per size.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.pictures import smooth_noise
from models.encoding import encode
from models.engine.device import available_cores
from models.options import OutputFormat
from models.picture import Picture

Pixels = NDArray[np.uint8]
Way = Callable[[Pixels], bytes]

QUALITY = 95


@dataclass(frozen=True)
class Measured:
    """One cell of the table."""

    seconds: float
    data: bytes


def main() -> int:
    """Measure and print a table for each format; the exit status."""
    args = _arguments()
    tile = np.asarray(Image.open(args.picture).convert("RGB")) if args.picture else smooth_noise(1024)
    for format_, ways in contestants(args.threads).items():
        sys.stdout.write(f"\n{format_}, {args.threads} threads at most, best of {args.repeats}\n")
        sys.stdout.write(f"{'':34}{'megapixels':>12}{'seconds':>10}{'times as fast':>15}{'MB':>9}{'size':>8}\n")
        for megapixels in args.megapixels:
            sys.stdout.writelines(f"{line}\n" for line in rows(ways, mirrored(tile, megapixels), args.repeats))
            sys.stdout.flush()
    return 0


def contestants(threads: int) -> dict[str, dict[str, Way]]:
    """Format to name to a function from (H, W, 3) uint8 to a file; the first is what others are held against."""
    ours = {number: f"Restora, {number} thread{'s' if number > 1 else ''}" for number in sorted({1, threads})}
    return {
        "PNG": {"OpenCV, zlib level 4": opencv_png, **{ours[n]: partial(our_file, "png", n) for n in ours}},
        "JPEG": {"Pillow": pillow_jpeg, **{ours[n]: partial(our_file, "jpeg", n) for n in ours}},
    }


def our_file(format_: OutputFormat, threads: int, pixels: Pixels) -> bytes:
    """The way it is done now."""
    return encode(Picture(pixels=pixels), format_, threads=threads).data


def opencv_png(pixels: Pixels) -> bytes:
    """The way it was done before: level 4 of zlib, libpng's choice of filters."""
    return cv2.imencode(".png", pixels[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 4])[1].tobytes()


def pillow_jpeg(pixels: Pixels) -> bytes:
    """The way it was done before."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY, subsampling="4:4:4")
    return file.getvalue()


def rows(ways: dict[str, Way], pixels: Pixels, repeats: int) -> list[str]:
    """Lines of text; ratios are against the first way."""
    best: dict[str, Measured] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            data = way(pixels)
            seconds = time.perf_counter() - start
            if name not in best or seconds < best[name].seconds:
                best[name] = Measured(seconds, data)
    first, *others = best.values()
    shown = decoded(first.data)
    assert all(np.array_equal(decoded(other.data), shown) for other in others)  # noqa: S101  or there is no comparison
    return [
        f"{name:34}{pixels.shape[0] * pixels.shape[1] / 1e6:12.1f}{cell.seconds:10.3f}"
        f"{first.seconds / cell.seconds:15.2f}{len(cell.data) / 1e6:9.2f}{len(cell.data) / len(first.data):8.3f}"
        for name, cell in best.items()
    ]


def decoded(data: bytes) -> Pixels:
    """(H, W, 3) of a file, in OpenCV's order."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def mirrored(tile: Pixels, megapixels: float) -> Pixels:
    """A 3:2 picture of about so many megapixels from copies of ``tile`` that meet without an edge."""
    height = round((megapixels * 1e6 * 2 / 3) ** 0.5)
    width = round(height * 1.5)
    pair = np.hstack([tile, tile[:, ::-1]])
    block = np.vstack([pair, pair[::-1]])
    times = (-(-height // block.shape[0]), -(-width // block.shape[1]), 1)
    return np.ascontiguousarray(np.tile(block, times)[:height, :width])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encode", description=__doc__)
    parser.add_argument("--picture", type=Path, help="best a result of ours (default: smooth noise)")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[8, 20, 32], help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=available_cores(), help="default: %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
