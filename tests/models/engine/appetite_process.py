"""A fresh process that runs one network over one picture and prints what it should have taken, and what it took."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import torch

from models.archs import RRDBNet, SRVGGNetCompact
from models.cli.process import prepare_process
from models.engine.device import Engine
from models.engine.memory import Appetite
from models.engine.model import make_upsampler
from models.engine.upsampler import Tiling

HEIGHT = 120  # px; more than either network is deep, so that every map is as full as it gets


def peak() -> int:
    """Bytes; from the kernel's own books, for getrusage begins with what the parent of a new process had."""
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    return int(kilobytes) * 1024


def main(kind: str, dtype: str, width: int, rows: int) -> None:
    prepare_process()
    torch.manual_seed(0)
    torch.set_num_threads(2)
    engine = Engine(torch.device("cpu"), getattr(torch, dtype), "for the test")
    network = RRDBNet(num_block=4) if kind == "dense" else SRVGGNetCompact()
    if kind == "dense":  # random weights show no picture, and what shows none is refused
        network.conv_last.weight.data.zero_()
    appetite = Appetite.of(network, engine.dtype.itemsize)
    upsampler = make_upsampler(network, engine)
    small = np.zeros((16, 16, 3), np.uint8)
    upsampler(small, Tiling(tile=0, overlap=0, rows=8))  # kernels chosen, buffers of the libraries made
    lq = np.zeros((HEIGHT, width, 3), np.uint8)
    before = peak()
    upsampler(lq, Tiling(tile=0, overlap=0, rows=rows))
    result = HEIGHT * 16 * width * 3
    print(appetite.needed(width, rows), peak() - before - result)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
