"""What was measured on: facts about the machine, and how many multiplications per second it can do at best."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks.timing import Sample, timed
from models.engine.device import available_cores, native_cpu_bfloat16

SIDE = {"cpu": 2048, "cuda": 8192}  # of the square matrices
TIMES = 5  # in a row, the best of which is one sample
VECTORS = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16", "sve", "bf16")


def facts(device: torch.device) -> dict[str, object]:
    """Hardware, versions and date; no host name."""
    capabilities = torch.cpu.get_capabilities()
    known: dict[str, object] = {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": available_cores(),
        "instructions": [name for name in VECTORS if capabilities.get(name)],
        "native_bfloat16": native_cpu_bfloat16() or "none",
        "load_at_start": load(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": str(device),
    }
    if device.type == "cuda":
        known["gpu"] = torch.cuda.get_device_name(device)
    return known


def in_words(known: dict[str, object]) -> str:
    """One line about the machine, such as ``AMD EPYC, 2 cores, avx2 avx512_bf16, torch 2.13``."""
    parts = [f"{known['processor']}, {known['cores']} cores", " ".join(map(str, known["instructions"]))]  # type: ignore[call-overload]
    if "gpu" in known:
        parts.insert(0, str(known["gpu"]))
    loads = [known.get("load_at_start"), known.get("load_at_end")]
    busy = [f"{load:.1f}" for load in loads if load is not None]
    return ", ".join([part for part in (*parts, f"torch {known['torch']}", f"{known['date']}") if part]) + (
        f", load before{' and after' if len(busy) > 1 else ''} {' and '.join(busy)}" if busy else ""
    )


def load() -> float | None:
    """Programs that wanted to run in the last minute, ours included; None where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def processor() -> str:
    """Its name as the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


class Matmul:
    """Multiplies the same two square matrices, which is the most that a network's convolutions could be."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        side = SIDE[device.type]
        self.operations = 2 * side**3
        self._device = device
        generator = torch.Generator().manual_seed(0)
        self._a, self._b = (torch.rand(side, side, generator=generator).to(device, dtype) for _ in range(2))
        self._multiply()

    def __call__(self) -> tuple[Sample, None]:
        """The quickest of a few, for both clocks: others can only have made it slower."""
        samples = [timed(self._multiply)[0] for _ in range(TIMES)]
        return Sample(min(s.wall_s for s in samples), min(s.cpu_s for s in samples)), None

    def _multiply(self) -> None:
        torch.mm(self._a, self._b)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
