"""``python -m benchmarks.choices``: which model and which detour serve photographs and text best.

What the rules of models/planning rest on, measured against the truth: crops of the Kodak pictures, of Set14's
``ppt3`` and ``comic``, and rendered pages, reduced, sent as JPEG and restored in every way the planner could choose.
``soft`` pictures were enlarged twofold before. Means of PSNR and SSIM on the luma of BT.601.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.kinds import page
from models.options import RestoreOptions
from models.restorer import Restorer
from models.weights.store import DEFAULT_FOLDER

RGB = NDArray[np.uint8]
MODELS = ("RealESRGAN_x4plus", "RealESRGAN_x4plus_anime_6B", "realesr-animevideov3")
KODAK = (1, 4, 5, 7, 8, 12)
SIDE = 256  # px of the truth; RealESRGAN_x4plus takes seconds for more
BICUBIC, LANCZOS = Image.Resampling.BICUBIC, Image.Resampling.LANCZOS


def main() -> int:
    """Measure and print; the exit status."""
    args = _arguments()
    models = {name: Restorer.open(name, weights_dir=args.weights) for name in MODELS}
    scores = defaultdict(list)
    for case, way, truth, result in (*photos(args.images, models), *pages(args, models)):
        scores[case, way].append((psnr(truth, result), ssim(truth, result)))
    sys.stdout.write(f"{'case':24} {'way':38} n    PSNR   SSIM\n")
    for (case, way), values in scores.items():
        means = np.mean(values, axis=0)
        sys.stdout.write(f"{case:24} {way:38} {len(values)}  {means[0]:6.2f}  {means[1]:.4f}\n")
    return 0


def photos(images: Path, models: dict[str, Restorer]) -> Iterator[tuple[str, str, RGB, RGB]]:
    """Doubled and cleaned photographs, whole and reduced first."""
    for number in KODAK:
        truth = _read(images / f"eval/kodak/kodim{number:02d}.png")[128 : 128 + SIDE, 256 : 256 + SIDE]
        for outscale in (2, 1):
            sharp = _resized(truth, SIDE // outscale, BICUBIC)
            soft = _resized(_resized(sharp, SIDE // outscale // 2, BICUBIC), SIDE // outscale, LANCZOS)
            for name, lq, quality in (("sharp", sharp, 90), ("sharp", sharp, 50), ("soft", soft, 85)):
                sent, case = _jpeg(lq, quality), f"photo x{outscale} {name} q{quality}"
                yield case, "Lanczos", truth, _resized(sent, SIDE, LANCZOS)
                for model in (MODELS[0], MODELS[2]):
                    for factor in (1, 2):
                        reduced = _resized(sent, SIDE // outscale // factor, BICUBIC)
                        way = model + (f" reduced by {factor}" if factor > 1 else "")
                        yield case, way, truth, _resized(_restored(models[model], reduced), SIDE, LANCZOS)


def pages(args: argparse.Namespace, models: dict[str, Restorer]) -> Iterator[tuple[str, str, RGB, RGB]]:
    """Text and drawings enlarged from half and a quarter of their size."""
    fonts = sorted(args.fonts.glob("**/*Sans*.ttf"))
    rng = random.Random(0)  # noqa: S311  (the same pages every time, no secrets)
    rendered = (np.asarray(page(rng, rng.choice(fonts)))[30 : 30 + SIDE, 10 : 10 + SIDE] for _ in range(6))
    truths = [("text", truth) for truth in rendered if truth.shape[:2] == (SIDE, SIDE)] if fonts else []
    truths += [(name, _read(args.images / f"eval/set14/{name}.png")[:240, :240]) for name in ("ppt3", "comic")]
    for name, truth in truths:
        for outscale in (2, 4):
            sent, case = _jpeg(_resized(truth, len(truth) // outscale, BICUBIC), 85), f"{name} x{outscale} q85"
            yield case, "Lanczos", truth, _resized(sent, len(truth), LANCZOS)
            for model, restorer in models.items():
                yield case, model, truth, _resized(_restored(restorer, sent), len(truth), LANCZOS)


def psnr(truth: RGB, result: RGB) -> float:
    """In dB, of the luma."""
    return float(10 * np.log10(255**2 / np.mean((_luma(truth) - _luma(result)) ** 2)))


def ssim(truth: RGB, result: RGB) -> float:
    """Wang 2004, of the luma, with its Gaussian window of 11 px."""
    x, y = _luma(truth), _luma(result)
    x_mean, y_mean = _blurred(x), _blurred(y)
    x_var, y_var, both = _blurred(x * x) - x_mean**2, _blurred(y * y) - y_mean**2, _blurred(x * y) - x_mean * y_mean
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    alike = (2 * x_mean * y_mean + c1) * (2 * both + c2)
    return float(np.mean(alike / ((x_mean**2 + y_mean**2 + c1) * (x_var + y_var + c2))))


def _blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float64)


def _luma(rgb: RGB) -> NDArray[np.float64]:
    return rgb @ (np.array([65.481, 128.553, 24.966]) / 255) + 16


def _restored(restorer: Restorer, lq: RGB) -> RGB:
    file = io.BytesIO()
    Image.fromarray(lq).save(file, "PNG")
    restored = restorer.restore(file.getvalue(), RestoreOptions(output_format="png"))
    return np.asarray(Image.open(io.BytesIO(restored.data)).convert("RGB"))


def _resized(pixels: RGB, side: int, method: Image.Resampling) -> RGB:
    return np.asarray(Image.fromarray(pixels).resize((side, side), method))


def _jpeg(pixels: RGB, quality: int) -> RGB:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def _read(path: Path) -> RGB:
    return np.asarray(Image.open(path).convert("RGB"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=Path("../shared/images"), help="%(default)s")
    parser.add_argument("--weights", type=Path, default=DEFAULT_FOLDER, help="%(default)s")
    parser.add_argument("--fonts", type=Path, default=Path("/usr/share/fonts"), help="%(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
