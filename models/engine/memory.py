"""How much memory there is, how much a network will take, and how to cut a picture so that it fits.

The free memory is what the kernel says could be had without swapping, or what the container's limit leaves, whichever
is less. What a network takes is not guessed: its layers say which rows of which maps are alive together.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from models.engine.cgroups import control_group_folders
from models.engine.device import Engine
from models.engine.rows import TAIL_PIXELS, last_uses
from models.engine.trunk import Layer, Streamable, is_streamable
from models.errors import OutOfMemory

SHARE = 0.7  # of the free memory that a plan may fill; the rest is for whatever else runs
MOST_HOST_BYTES = 900_000_000  # of main memory: a worker has neighbours, and more makes nothing faster
LARGEST_MAP_BYTES = {"cpu": 32 * 2**20, "cuda": 512 * 2**20}  # measured: larger maps leave the CPU's caches
LEAST_ROWS = 8  # of a slab at a time; below, copying what is kept costs more than the convolutions
LEAST_SLAB = 128  # px of core; below, the overlap is most of the work
TAIL_MAPS = 4  # maps of 64 channels at 16 times the pixels that the tail has alive
SR_BYTES = 144  # per pixel of the result: as it comes, joined, checked, rounded
HELD_BACK_MAPS = 3  # of the widest, freed but not given back: measured, 76 to 135 MB in 24 runs of the same picture
PLAIN_VALUES_PER_PIXEL = 4096  # of a network that does not describe itself; an RRDBNet run whole takes that


@dataclass(frozen=True, slots=True)
class Cut:
    """How a picture goes through: slabs of ``slab`` columns (0: all of them), ``rows`` at a time (0: all of them)."""

    slab: int
    rows: int


@dataclass(frozen=True, slots=True)
class Appetite:
    """Bytes that a streamed network needs.

    Args:
        per_column: rows of every map that are kept from one push to the next.
        per_pixel: maps of the rows that are on their way, at the layer that has most of them, and what the allocator
            holds back of those before.
        fixed: the tail and the weights.
        map_channels: of the widest map, which is what caches see.
    """

    per_column: int
    per_pixel: int
    fixed: int
    map_channels: int

    @classmethod
    def of(cls, network: nn.Module, itemsize: int) -> Appetite:
        """Add up the layers of a network."""
        weights = sum(parameter.numel() for parameter in network.parameters())
        if not is_streamable(network):
            return cls(0, PLAIN_VALUES_PER_PIXEL * itemsize, weights * itemsize, 64)
        streamed: Streamable = network  # type: ignore[assignment]  # is_streamable has looked
        layers, folded = streamed.layers(), streamed.unshuffle
        channels = [layers[0].conv.in_channels, *(layer.conv.out_channels for layer in layers)]
        widest = max(layer.conv.in_channels for layer in layers)
        enlarged = (
            TAIL_PIXELS * TAIL_MAPS * max(channels) * (streamed.scale * folded) ** 2 if streamed.tail_reach else 0
        )
        alive = _alive_values(layers, channels) + HELD_BACK_MAPS * max(channels)
        return cls(
            per_column=_kept_values(layers, channels, streamed.tail_reach) * itemsize // folded,
            per_pixel=(alive * itemsize + SR_BYTES * (streamed.scale * folded) ** 2) // folded**2,
            fixed=(weights + enlarged) * itemsize,
            map_channels=max(1, widest // folded**2),
        )

    def needed(self, width: int, rows: int) -> int:
        """Bytes for a slab of ``width`` columns, ``rows`` at a time."""
        return self.fixed + width * (self.per_column + rows * self.per_pixel)


def free_bytes(engine: Engine, root: Path = Path("/")) -> int | None:
    """Memory that can be had on the engine's device, in bytes; None where the system does not say."""
    if engine.device.type == "cuda":
        return int(torch.cuda.mem_get_info(engine.device)[0])
    return free_host_bytes(root)


def free_host_bytes(root: Path = Path("/")) -> int | None:
    """Main memory that could be had without swapping, within the container's limit."""
    known = [
        room for room in (_available(root), *map(_room_in, control_group_folders(root, "memory"))) if room is not None
    ]
    return min(known, default=None)


def give_back_memory() -> None:
    """Return what was freed to the system, which glibc does not do by itself.

    The arrays of a picture leave holes of every size: a worker that did fourteen pictures of up to 900 px held 745 MB
    where it holds 310 MB with this.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # musl has none, and needs none
        trim(0)


def plan_cut(
    appetite: Appetite, *, height: int, width: int, overlap: int, free: int | None, device: str, itemsize: int
) -> Cut:
    """The fewest slabs, and then the most rows at a time, that fit.

    Args:
        appetite: of the network.
        height: of the picture, border included.
        width: as ``height``.
        overlap: that a slab needs on either side.
        free: bytes; None: unknown, nothing is cut for its sake.
        device: ``cpu`` or ``cuda``.
        itemsize: bytes of one number.

    Raises:
        OutOfMemory: not even the narrowest slab fits; the message has both numbers.
    """
    room = None if free is None else int(free * SHARE)
    if device == "cpu":
        room = min(MOST_HOST_BYTES, MOST_HOST_BYTES if room is None else room)
    largest = LARGEST_MAP_BYTES[device] // (itemsize * appetite.map_channels)  # pixels
    slab, window = 0, width
    while room is not None and appetite.needed(window, min(LEAST_ROWS, height)) > room:
        slab = (slab or width) // 2
        window = slab + 2 * overlap
        if slab < LEAST_SLAB:
            least = appetite.needed(min(width, LEAST_SLAB + 2 * overlap), min(LEAST_ROWS, height))
            raise OutOfMemory(
                f"a picture of {width}x{height} needs at least {least / 1e6:,.0f} MB here, "
                f"{room / 1e6:,.0f} MB are free"
            )
    rows = max(LEAST_ROWS, largest // window)
    while room is not None and rows > LEAST_ROWS and appetite.needed(window, rows) > room:
        rows = max(LEAST_ROWS, rows // 2)
    return Cut(slab=slab, rows=0 if rows >= height else rows)


def _kept_values(layers: tuple[Layer, ...], channels: list[int], tail_reach: int) -> int:
    """Values per column that stay between two pushes: each map is kept for its slowest user."""
    delays = [0]
    for layer in layers:
        delays.append(1 + max(delays[index] for index in layer.inputs))
    slowest = list(delays)
    for number, layer in enumerate(layers, start=1):
        for index in (*layer.inputs, *(index for index, _ in layer.shortcuts)):
            slowest[index] = max(slowest[index], delays[number])
    slowest[0], slowest[-1] = max(slowest[0], delays[-1] + 2 * tail_reach), delays[-1] + 2 * tail_reach
    return sum(width * (late - delay + 2) for width, late, delay in zip(channels, slowest, delays, strict=True))


def _alive_values(layers: tuple[Layer, ...], channels: list[int]) -> int:
    """Values per pixel alive at once: maps with users to come, what a convolution sees, makes and adds."""
    forgotten, alive, most = last_uses(layers), channels[0], 0
    for number, layer in enumerate(layers, start=1):
        made = layer.conv.out_channels
        most = max(most, alive + layer.conv.in_channels + made * (3 + len(layer.shortcuts)))
        alive += made - sum(channels[index] for index in forgotten[number])
    return most


def _available(root: Path) -> int | None:
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return int(kilobytes) * 1024 if kilobytes else None


def _room_in(folder: Path) -> int | None:
    """What a control group's limit leaves; its page cache counts as free, for the kernel gives it up."""
    for limit_name, used_name, cache_key in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            limit = (folder / limit_name).read_text(encoding="ascii").strip()
            used = int((folder / used_name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        if not limit.isdecimal() or int(limit) >= 2**60:  # "max", or version 1's way of saying so
            return None
        return max(0, int(limit) - used + _statistic(folder / "memory.stat", cache_key))
    return None


def _statistic(path: Path, key: str) -> int:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{key} ")), 0)
