"""A fresh process that makes large results of small pictures; prints what was planned for each, and what it took."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import torch

from models import RestoreOptions, Restorer
from models.cli.process import prepare_process
from models.engine.device import Engine
from models.engine.memory import Appetite, give_back_memory
from models.engine.model import Model
from models.engine.upsampler import Tiling
from models.loading import load_model
from models.registry import SHIPPED_MODEL
from tests.models.toys import FLOAT32, noise, png

SIDE, OUTSCALE = 60, 40.0


class Planned(Model):
    """Remembers what the last picture was expected to take."""

    planned = 0

    def tiling(self, size_wh: tuple[int, int], wishes: Any, engine: Engine, *, reserved_bytes: int = 0) -> Tiling:
        cut = super().tiling(size_wh, wishes, engine, reserved_bytes=reserved_bytes)
        width, height = (side + 2 * wishes.border for side in size_wh)
        appetite = Appetite.of(self._upsampler(engine).network, engine.dtype.itemsize)
        self.planned = reserved_bytes + appetite.needed(width, cut.rows or height)
        return cut


def of_this_process(name: str) -> int:
    """Bytes, from the kernel's own books."""
    (kilobytes,) = re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    return int(kilobytes) * 1024


def main(*channels: str) -> None:
    prepare_process()
    torch.set_num_threads(1)
    model = Planned(SHIPPED_MODEL, lambda: load_model(SHIPPED_MODEL, Path("weights")), FLOAT32)
    restorer = Restorer([model], engine=FLOAT32, threads=1)
    options = RestoreOptions(outscale=OUTSCALE, output_format="png")
    restorer.restore(png(noise(16, 16, 4)), RestoreOptions(outscale=5))  # kernels chosen, the decoder started
    for count in map(int, channels):
        data = png(noise(SIDE, SIDE, *([count] if count > 1 else [])) // 4 + 90)
        give_back_memory()
        before = of_this_process("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak begins anew
        restorer.restore(data, options)
        print(count, model.planned, of_this_process("VmHWM") - before, flush=True)  # noqa: T201
    restorer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
