from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from models.engine.device import available_cores, device_choices, native_cpu_bfloat16, pick_engine
from models.errors import DeviceUnavailable

CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine(root: Path, cgroup: str, files: dict[str, str]) -> Path:
    """A made-up /proc and /sys."""
    for name, text in {"proc/self/cgroup": cgroup, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_without_control_groups_every_core_of_the_affinity_mask_counts(tmp_path: Path) -> None:
    assert available_cores(tmp_path) == CPUS


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity masks here")
def test_the_affinity_mask_counts_not_the_host(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert available_cores(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", CPUS), ("100000 100000", 1), ("150000 100000", 1), ("50000 100000", 1), ("99900000 100000", CPUS)],
)
def test_a_container_s_quota_counts_rounded_down(tmp_path: Path, quota: str, cores: int) -> None:
    root = machine(tmp_path, "0::/box\n", {"sys/fs/cgroup/box/cpu.max": quota})
    assert available_cores(root) == cores


def test_a_quota_of_a_group_further_up_counts_too(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/a/b/cpu.max": "max 100000", "sys/fs/cgroup/a/cpu.max": "100000 100000"}
    assert available_cores(machine(tmp_path, "0::/a/b\n", files)) == 1


def test_a_path_of_the_host_falls_back_to_what_is_mounted(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/docker/0123\n", {"sys/fs/cgroup/cpu.max": "100000 100000"})
    assert available_cores(root) == 1


@pytest.mark.parametrize(("quota", "cores"), [("-1", CPUS), ("100000", 1)])
def test_the_first_version_of_control_groups_is_understood(tmp_path: Path, quota: str, cores: int) -> None:
    files = {"sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": quota, "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000"}
    root = machine(tmp_path, "5:memory:/box\n4:cpu,cpuacct:/box\n", files)
    assert available_cores(root) == cores


@pytest.mark.parametrize("text", ["", "nonsense", "1 0", "a b"])
def test_nonsense_in_a_quota_is_no_quota(tmp_path: Path, text: str) -> None:
    assert available_cores(machine(tmp_path, "0::/\n", {"sys/fs/cgroup/cpu.max": text})) == CPUS


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "cuda:-1", "cuda:x", "mps", ""])
def test_a_device_that_is_not_here_is_named_with_the_choices(device: str) -> None:
    with pytest.raises(DeviceUnavailable, match=f"'{device}' .* choices: auto, cpu"):
        pick_engine(device)


def test_an_unknown_number_format_is_named_with_the_choices() -> None:
    with pytest.raises(DeviceUnavailable, match=r"'int4' .* auto, bfloat16, float16, float32"):
        pick_engine("cpu", "int4")


def test_what_is_asked_for_is_taken_and_the_reason_says_so() -> None:
    engine = pick_engine("cpu", "float32")
    assert (engine.device, engine.dtype, engine.dtype_name) == (torch.device("cpu"), torch.float32, "float32")
    assert engine.reason == "cpu was asked for; float32 was asked for"


def test_bfloat16_is_picked_where_the_processor_has_instructions_for_it_and_only_there() -> None:
    engine = pick_engine("cpu")
    instructions = native_cpu_bfloat16()
    assert engine.dtype == (torch.float32 if instructions is None else torch.bfloat16)
    assert (instructions or "no bfloat16 instructions") in engine.reason


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="another oracle is not here")
def test_the_kernel_agrees_about_the_processor() -> None:
    flags = Path("/proc/cpuinfo").read_text().split()
    assert (native_cpu_bfloat16() is not None) == any(flag in flags for flag in ("avx512_bf16", "amx_bf16", "bf16"))


def test_every_choice_offered_can_be_picked() -> None:
    for choice in device_choices():
        assert str(pick_engine(choice).device) in {"cpu", *device_choices()}
