"""Which device, number format and how many threads, by asking the machine; and why, in words."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import torch

from models.engine.cgroups import control_group_folders
from models.errors import DeviceUnavailable

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
CPU_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16")  # instruction sets, as torch and Linux call them
NATIVE_BFLOAT16_CUDA = (8, 0)  # compute capability of Ampere; older GPUs emulate it


@dataclass(frozen=True, slots=True)
class Engine:
    """Where and in which number format a network runs, and a sentence saying why."""

    device: torch.device
    dtype: torch.dtype
    reason: str = field(compare=False)

    @property
    def dtype_name(self) -> str:
        """``bfloat16``, ``float16`` or ``float32``."""
        return str(self.dtype).removeprefix("torch.")


def pick_engine(device: str = "auto", dtype: str = "auto") -> Engine:
    """Settle device and number format.

    Args:
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto`` (the fastest one the device computes natively), or a key of ``DTYPES``.

    Raises:
        DeviceUnavailable: no such device or format here; the message names the value and the choices.
    """
    place, why_place = _pick_device(device)
    if dtype == "auto":
        number, why_number = _pick_dtype(place)
    elif dtype in DTYPES:
        number, why_number = DTYPES[dtype], f"{dtype} was asked for"
    else:
        raise DeviceUnavailable(f"dtype {dtype!r} is unknown; choices: auto, {', '.join(DTYPES)}")
    return Engine(place, number, f"{why_place}; {why_number}")


def device_choices() -> tuple[str, ...]:
    """The devices that can be asked for on this machine."""
    return ("auto", "cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count())))


def available_cores(root: Path = Path("/")) -> int:
    """How many cores this process may really use: its affinity mask, cut by the container's CPU quota.

    ``root`` is where /proc and /sys are looked for. A quota of one and a half cores counts as one, because a
    second thread would spend half its time throttled while the first waits for it.
    """
    # macOS and Windows have no affinity mask to ask for.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota(root)
    return cores if quota is None else max(1, min(cores, int(quota)))


def native_cpu_bfloat16() -> str | None:
    """The instruction set with which this processor multiplies bfloat16, or None where it would emulate it."""
    capabilities = torch.cpu.get_capabilities()
    return next((name for name in CPU_BFLOAT16 if capabilities.get(name)), None)


def _pick_device(name: str) -> tuple[torch.device, str]:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        if count:
            return torch.device("cuda:0"), f"GPU found: {torch.cuda.get_device_name(0)}"
        return torch.device("cpu"), "no usable GPU"
    if name == "cpu":
        return torch.device("cpu"), "cpu was asked for"
    kind, _, number = name.partition(":")
    if kind == "cuda" and (not number or number.isdecimal()) and int(number or 0) < count:
        return torch.device(f"cuda:{int(number or 0)}"), f"{name} was asked for"
    raise DeviceUnavailable(f"device {name!r} is not available here; choices: {', '.join(device_choices())}")


def _pick_dtype(device: torch.device) -> tuple[torch.dtype, str]:
    if device.type == "cuda":
        if torch.cuda.get_device_capability(device) >= NATIVE_BFLOAT16_CUDA:
            return torch.bfloat16, "it multiplies bfloat16 natively"
        return torch.float16, "too old for bfloat16, so float16"
    instructions = native_cpu_bfloat16()
    if instructions:
        return torch.bfloat16, f"the processor multiplies bfloat16 natively ({instructions})"
    return torch.float32, "the processor has no bfloat16 instructions, so float32"


def _cgroup_quota(root: Path) -> float | None:
    """The tightest CPU quota of this process's control groups, in cores, or None for no limit."""
    quotas = [quota for folder in control_group_folders(root, "cpu") if (quota := _quota_of(folder)) is not None]
    return min(quotas, default=None)


def _quota_of(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
        return int(quota) / int(period) if quota not in {"max", "-1"} else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
