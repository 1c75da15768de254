"""When a worker's process is replaced because of its memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.processes import Relative, descendants, resident_bytes
from tasks.recycling import GROWTH, SHARE, Recycling, may_keep_bytes

MIB = 2**20


def container(root: Path, files: dict[str, str], group: str = "0::/box\n") -> Path:
    for name, text in {"proc/self/cgroup": group, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "group", "stated", "limit"),
    [
        ({"sys/fs/cgroup/box/memory.max": f"{100 * MIB}\n"}, "0::/box\n", None, 100 * MIB),
        ({"sys/fs/cgroup/box/memory.max": f"{100 * MIB}\n"}, "0::/box\n", 40 * MIB, 40 * MIB),
        ({"sys/fs/cgroup/box/memory.max": f"{100 * MIB}\n"}, "0::/box\n", 140 * MIB, 100 * MIB),
        ({"sys/fs/cgroup/box/memory.max": "max\n"}, "0::/box\n", 40 * MIB, 40 * MIB),
        ({"sys/fs/cgroup/box/memory.max": "max\n"}, "0::/box\n", None, None),
        (
            {"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": f"{64 * MIB}\n"},
            "0::/a/b\n",
            None,
            64 * MIB,
        ),
        ({"sys/fs/cgroup/memory/box/memory.limit_in_bytes": f"{80 * MIB}\n"}, "4:memory:/box\n", None, 80 * MIB),
        ({"sys/fs/cgroup/memory/box/memory.limit_in_bytes": "9223372036854771712\n"}, "4:memory:/box\n", None, None),
        ({}, "", None, None),
    ],
)
def test_what_a_process_may_keep_follows_from_the_lowest_limit(tmp_path, files, group, stated, limit):
    root = container(tmp_path, files, group)
    expected = None if limit is None else int(limit * SHARE)
    assert may_keep_bytes(stated, processes=1, root=root) == expected
    assert may_keep_bytes(stated, processes=4, root=root) == (None if limit is None else int(limit * SHARE / 4))


def nothing():
    pass


def test_a_process_goes_when_it_keeps_more_than_it_may_and_stays_when_it_gave_back():
    fresh = resident_bytes()
    recycling = Recycling(round(fresh * GROWTH * 1.1), give_back=nothing)
    assert recycling.kilobytes() * 1024 < fresh
    kept = bytearray(os.urandom(MIB)) * round(fresh * 0.6 / MIB)
    assert recycling.kilobytes() * 1024 > fresh * GROWTH
    del kept
    assert recycling.kilobytes() * 1024 < fresh


def test_what_can_be_given_back_is_before_a_process_is_judged():
    held = [bytearray(os.urandom(MIB)) * round(resident_bytes() * 0.6 / MIB)]
    recycling = Recycling(1, give_back=held.clear)
    recycling._fresh = round(resident_bytes() / 1.6)
    assert recycling.kilobytes() == 1
    assert held == []


def test_a_process_that_is_large_from_the_start_is_not_replaced_for_ever():
    assert Recycling(1, give_back=nothing).kilobytes() == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_descendants_are_found_with_their_depth():
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        grandchild = os.fork()
        os.write(ready[1], b"%d\n" % (grandchild or -1))
        os.read(go[0], 1)
        os._exit(0)
    said = b""
    while said.count(b"\n") < 2:
        said += os.read(ready[0], 100)
    (grandchild,) = (int(line) for line in said.split() if int(line) > 0)
    found = descendants(os.getpid())
    os.write(go[1], b"xx")
    os.waitpid(child, 0)
    assert {Relative(child, 1), Relative(grandchild, 2)} <= set(found)
    assert resident_bytes(grandchild) == 0 or grandchild in {one.pid for one in found}
    for descriptor in (*ready, *go):
        os.close(descriptor)
