"""How much memory there is, and how a picture is cut to fit it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.archs import RRDBNet, SRVGGNetCompact
from models.engine.memory import LEAST_ROWS, LEAST_SLAB, MOST_HOST_BYTES, SHARE, Appetite, free_host_bytes, plan_cut
from models.engine.rows import RowStream
from models.engine.upsampler import out_of_memory_named
from models.engine.watch import Watch
from models.errors import OutOfMemory
from tests.conftest import REPOSITORY
from tests.models.engine.test_device import machine
from tests.models.toys import Dense, Nearest, compact

MIB = 2**20
MEMINFO = "MemTotal:  8000000 kB\nMemFree:   100000 kB\nMemAvailable:   4194304 kB\n"


def test_without_limits_it_is_what_the_kernel_could_give_without_swapping(tmp_path: Path) -> None:
    assert free_host_bytes(machine(tmp_path, "0::/\n", {"proc/meminfo": MEMINFO})) == 4096 * MIB


def test_where_the_system_says_nothing_nothing_is_known(tmp_path: Path) -> None:
    assert free_host_bytes(tmp_path) is None


def test_this_machine_has_some() -> None:
    free = free_host_bytes()
    assert free is None or 0 < free < 2**50


@pytest.mark.parametrize(
    ("limit", "used", "stat", "free"),
    [
        (1000, 400, "", 600),
        (1000, 400, "anon 300\ninactive_file 150\nactive_file 50\n", 750),  # page cache is given up on demand
        (1000, 1200, "", 0),
        (9000, 100, "", 4096),  # the machine has less than the limit
        ("max", 100, "", 4096),
    ],
)
def test_a_container_s_limit_counts(tmp_path: Path, limit: int | str, used: int, stat: str, free: int) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "sys/fs/cgroup/box/memory.max": f"{limit if isinstance(limit, str) else limit * MIB}\n",
        "sys/fs/cgroup/box/memory.current": f"{used * MIB}\n",
        "sys/fs/cgroup/box/memory.stat": in_bytes(stat),
    }
    assert free_host_bytes(machine(tmp_path, "0::/box\n", files)) == free * MIB


def in_bytes(stat: str) -> str:
    rows = (line.split() for line in stat.splitlines())
    return "".join(f"{name} {int(mib) * MIB}\n" for name, mib in rows)


def test_the_limit_of_a_group_further_up_counts_too(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "sys/fs/cgroup/a/b/memory.max": "max\n",
        "sys/fs/cgroup/a/b/memory.current": "0\n",
        "sys/fs/cgroup/a/memory.max": f"{100 * MIB}\n",
        "sys/fs/cgroup/a/memory.current": f"{40 * MIB}\n",
    }
    assert free_host_bytes(machine(tmp_path, "0::/a/b\n", files)) == 60 * MIB


@pytest.mark.parametrize(("limit", "free"), [(str(300 * MIB), 250), ("9223372036854771712", 4096)])
def test_the_first_version_of_control_groups_is_understood(tmp_path: Path, limit: str, free: int) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "sys/fs/cgroup/memory/box/memory.limit_in_bytes": limit,
        "sys/fs/cgroup/memory/box/memory.usage_in_bytes": str(80 * MIB),
        "sys/fs/cgroup/memory/box/memory.stat": in_bytes("cache 99\ninactive_file 10\ntotal_inactive_file 30\n"),
    }
    root = machine(tmp_path, "5:memory:/box\n4:cpu,cpuacct:/box\n", files)
    assert free_host_bytes(root) == free * MIB


@pytest.mark.parametrize("text", ["", "nonsense", "-1", "1.5"])
def test_nonsense_in_a_limit_is_no_limit(tmp_path: Path, text: str) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "sys/fs/cgroup/memory.max": text,
        "sys/fs/cgroup/memory.current": "0\n",
    }
    assert free_host_bytes(machine(tmp_path, "0::/\n", files)) == 4096 * MIB


ROOMY = Appetite(per_column=10_000, per_pixel=1_000, fixed=50_000_000, map_channels=64)


def cut(free: int | None, *, width: int = 4000, height: int = 3000, appetite: Appetite = ROOMY, device: str = "cpu"):
    return plan_cut(appetite, height=height, width=width, overlap=50, free=free, device=device, itemsize=4)


def test_what_fits_is_not_cut_into_slabs() -> None:
    assert cut(None).slab == 0
    assert cut(10**12).slab == 0
    assert cut(10**12, height=10, width=10).rows == 0  # all at once


def test_a_picture_too_wide_for_the_memory_is_halved_until_it_fits() -> None:
    made = [cut(free * 10**6).slab for free in (1000, 150, 120, 100)]
    assert made == sorted(made, reverse=True, key=lambda slab: slab or 4000)
    assert made[0] == 0
    assert made[-1] in {500, 250, 1000, 2000}
    assert made[-1] > 0


@given(
    free=st.integers(10**7, 10**11),
    width=st.integers(1, 20_000),
    height=st.integers(1, 20_000),
    device=st.sampled_from(["cpu", "cuda"]),
    network=st.sampled_from([compact(), Dense(2), Nearest()]),
)
@settings(deadline=None, max_examples=200)
def test_a_cut_fits_or_is_refused_with_both_numbers(
    free: int, width: int, height: int, device: str, network: nn.Module
) -> None:
    appetite = Appetite.of(network, 4)
    room = int(free * SHARE) if device == "cuda" else min(int(free * SHARE), MOST_HOST_BYTES)
    least = appetite.needed(min(width, LEAST_SLAB + 100), min(LEAST_ROWS, height))
    try:
        made = cut(free, width=width, height=height, appetite=appetite, device=device)
    except OutOfMemory as exc:
        numbers = f"{width}x{height} needs at least {least / 1e6:,.0f} MB here, {room / 1e6:,.0f} MB are free"
        refused = numbers in str(exc)
    else:
        refused = False
    if refused:
        # Halving may stop a little above the narrowest slab there is.
        assert appetite.needed(min(width, 2 * LEAST_SLAB + 100), min(LEAST_ROWS, height)) > room
        return
    window = width if made.slab == 0 else made.slab + 100
    rows = min(made.rows or height, height)
    assert appetite.needed(window, min(rows, LEAST_ROWS)) <= room
    assert rows <= LEAST_ROWS or appetite.needed(window, rows) <= room
    assert made.slab == 0 or made.slab >= LEAST_SLAB


def test_more_memory_never_cuts_finer() -> None:
    cuts = [cut(free * 10**6) for free in range(100, 3000, 50)]
    widths = [made.slab or 10**9 for made in cuts]
    assert widths == sorted(widths)


@pytest.mark.parametrize("network", [compact, lambda: Dense(4), lambda: Dense(2), lambda: Dense(1)])
@torch.inference_mode()
def test_the_rows_kept_are_those_the_appetite_counts(network: Callable[[], SRVGGNetCompact | RRDBNet]) -> None:
    made = network()
    fold, width = made.unshuffle, 16 * made.unshuffle
    stream = RowStream(made, 200, Watch(total=1))
    held = []
    for rows in torch.rand(1, 3, 200 * fold, width).split(8 * fold, dim=2):
        list(stream.push(rows))
        held.append(sum(0 if kept._held is None else kept._held.numel() for kept in stream._maps))
    predicted = Appetite.of(made, 1).per_column * width
    assert 0.5 * predicted <= max(held) <= predicted


def predicted_and_measured(kind: str, dtype: str, width: int, rows: int) -> tuple[int, int]:
    """Bytes, of a fresh process, whose peak nobody else has pushed up."""
    command = [sys.executable, "-m", "tests.models.engine.appetite_process", kind, dtype, str(width), str(rows)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120)
    predicted, measured = map(int, done.stdout.split())
    return predicted, measured


@pytest.mark.parametrize(
    ("kind", "dtype", "width", "rows"),
    [
        ("dense", "float32", 320, 16),
        ("dense", "float32", 512, 16),
        ("dense", "bfloat16", 768, 16),
        ("compact", "float32", 512, 64),
        ("compact", "float32", 1024, 32),
        ("compact", "bfloat16", 2048, 32),
    ],
)
def test_a_network_takes_no_more_than_its_appetite_and_not_much_less(
    kind: str, dtype: str, width: int, rows: int
) -> None:
    predicted, measured = predicted_and_measured(kind, dtype, width, rows)
    assert measured <= predicted <= 3 * measured


def test_opencv_without_memory_is_out_of_memory_and_its_other_errors_stay_what_they_are() -> None:
    small = np.zeros((2, 2), np.uint8)
    with pytest.raises(OutOfMemory, match="Insufficient memory"), out_of_memory_named():
        cv2.resize(small, (2**31 - 1, 2**18), interpolation=cv2.INTER_NEAREST)
    for other in (lambda: cv2.GaussianBlur(small, (2, 2), 1), lambda: (_ for _ in ()).throw(cv2.error("no room"))):
        with pytest.raises(cv2.error), out_of_memory_named():
            other()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("could not create a primitive", OutOfMemory),  # what a convolution says under a limit of address space
        ("could not create a primitive descriptor for the convolution forward propagation primitive.", RuntimeError),
    ],
)
def test_onednn_without_memory_is_out_of_memory_and_what_it_cannot_do_stays_what_it_is(
    words: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught, out_of_memory_named():
        raise RuntimeError(words)
    assert type(caught.value) is error
