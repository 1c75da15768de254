"""Where tensors live and how they get there."""

from __future__ import annotations

import ctypes
import os
import shutil
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.errors import SettingsError

# mallopt(3): names of glibc, values of its malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def hold_memory() -> None:
    """Keep what was freed instead of giving it back to the system, where the C library is glibc.

    Every step makes the same large arrays anew, and the kernel clears every page it hands out: a sixth of the time on
    two cores.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_TOP_PAD, 2**28)


def has_compiler() -> bool:
    """Whether ``torch.compile`` can build for processors here."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None


@dataclass(frozen=True)
class Compute:
    """A device and the type that heavy layers run in.

    Args:
        device: CPU or CUDA.
        dtype: bfloat16 or float32.
    """

    device: torch.device
    dtype: torch.dtype

    @classmethod
    def pick(cls, device: str = "auto", dtype: str = "bfloat16", threads: int = 0) -> Compute:
        """Take what a settings file asks for; threads 0 means one per core this process may use.

        Raises:
            SettingsError: this machine has no such device.
        """
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cuda" and not torch.cuda.is_available():
            raise SettingsError('train.device = "cuda", but torch finds no NVIDIA GPU here')
        torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
        return cls(torch.device(device), getattr(torch, dtype))

    @property
    def dtype_name(self) -> str:
        """Without the word torch."""
        return str(self.dtype).removeprefix("torch.")

    def ready(self, network: nn.Module) -> nn.Module:
        """A network for inference only, in this type and the layout its convolutions like."""
        network = network.to(self.device, self.dtype)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def tensor(self, levels: NDArray[np.uint8]) -> Tensor:
        """(N, H, W, 3) uint8 to (N, 3, H, W), 0 to 1, of this type, channels last in memory."""
        return torch.from_numpy(np.array(levels)).to(self.device).permute(0, 3, 1, 2).to(self.dtype) / 255

    @staticmethod
    def levels(pictures: Tensor) -> NDArray[np.uint8]:
        """(N, 3, H, W), 0 to 1, to (N, H, W, 3) uint8, rounded."""
        rounded = pictures.float().clamp(0, 1).mul(255).round().to(torch.uint8)
        return np.asarray(rounded.permute(0, 2, 3, 1).contiguous().cpu().numpy())
