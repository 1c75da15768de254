"""What code of a stranger's file could still do in the process that decodes it: next to nothing."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import logging
import os
import platform
import re
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.fuzz_decoder import made
from models.decoding import Decoder, syscall_filter, zygote_process
from models.decoding.decoder import Measured
from models.errors import DamagedImage, DeviceError
from models.picture import Picture
from tests.models.decoding.test_decoder import FILES
from tests.models.toys import noise, png

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in syscall_filter.ARCHITECTURES,
    reason="only there is a filter of system calls",
)

# A zygote with a codec that a file can tell what to call, as one that was taken over would. It runs in the child, as
# codecs do, and says what the kernel answered.
TAKEN_OVER = """
import ctypes, errno, json, mmap, os
from models.decoding import syscall_filter, zygote
from models.errors import DamagedImage
decode_here = zygote.decode_here
libc = ctypes.CDLL(None, use_errno=True)
def obey(data, limits, **options):
    if not data.startswith(b"call "):
        return decode_here(data, limits, **options)
    name, *arguments = json.loads(data[5:])
    if name == "machine code":
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(bytes(arguments))
        ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
    parent = os.getpid()
    answer = getattr(libc, name)(*(each.encode() if isinstance(each, str) else each for each in arguments))
    if os.getpid() != parent:
        os._exit(0)
    raise DamagedImage(errno.errorcode[ctypes.get_errno()] if answer == -1 else "done")
zygote.decode_here = obey
{first}
zygote.main()
"""
# Every later filter is refused, as a kernel without seccomp does: EINVAL to prctl(PR_SET_SECCOMP).
WITHOUT_SECCOMP = """
from models.decoding.syscall_filter import ALLOW, ARGUMENTS, EQUAL, FAIL_WITH, LOAD, NUMBER, RETURN, _step, _when
build = syscall_filter.build
refuse = _step(LOAD, ARGUMENTS), _step(EQUAL, 22, 0, 1), _step(RETURN, FAIL_WITH | errno.EINVAL), _step(RETURN, ALLOW)
number = {"x86_64": 157, "aarch64": 167}
syscall_filter.build = lambda machine: _step(LOAD, NUMBER) + _when(number[machine], refuse) + _step(RETURN, ALLOW)
syscall_filter.prepare()()
syscall_filter.build = build
"""
# Python was built for another architecture than the kernel is of, and some other program translates (Rosetta).
TRANSLATED = """
import platform
machine = {"x86_64": "aarch64", "aarch64": "x86_64"}[platform.machine()]
platform.machine = lambda: machine
"""
# What would be denied ends the process instead.
DEADLY = """
from models.decoding.syscall_filter import KILL_PROCESS, RETURN, _step
fail = syscall_filter._fail
syscall_filter._fail = lambda number: _step(RETURN, KILL_PROCESS) if number == errno.EPERM else fail(number)
"""


def decoder_with(monkeypatch: pytest.MonkeyPatch, first: str) -> Decoder:
    monkeypatch.setattr(zygote_process, "PROGRAM", ("-P", "-c", TAKEN_OVER.replace("{first}", first)))
    return Decoder()


@pytest.fixture(scope="module")
def taken_over() -> Iterator[Decoder]:
    with pytest.MonkeyPatch.context() as monkeypatch, decoder_with(monkeypatch, "") as one:
        yield one


@pytest.fixture(scope="module")
def without_seccomp() -> Iterator[Decoder]:
    with pytest.MonkeyPatch.context() as monkeypatch, decoder_with(monkeypatch, WITHOUT_SECCOMP) as one:
        yield one


def measured(decoder: Decoder, *call: str | int) -> Measured:
    return decoder.measure(b"call " + json.dumps(call).encode())


def answer(decoder: Decoder, *call: str | int) -> str:
    outcome = measured(decoder, *call).outcome
    assert isinstance(outcome, DamagedImage)
    return str(outcome)


ME = os.getpid()
READ, STREAM = os.O_RDONLY, socket.SOCK_STREAM
# What works without privileges where nothing forbids it, so that the next test proves something.
POSSIBLE: dict[str, tuple[str | int, ...]] = {
    "reading a neighbour's environment": ("open", f"/proc/{ME}/environ", READ),
    "reading a file": ("openat", -100, "/etc/passwd", READ),
    "making a process": ("fork",),
    "a socket to anywhere": ("socket", socket.AF_INET, STREAM, 0),
    "a socket to this machine": ("socket", socket.AF_UNIX, socket.SOCK_DGRAM, 0),
    "looking for a neighbour": ("kill", ME, 0),
    "signals by way of a descriptor": ("fcntl", 1, fcntl.F_SETOWN, ME),
    "leaving the process group": ("setsid",),
    "memory for a program": ("memfd_create", "program", 0),
    "shared memory": ("shmget", 0, 4096, 0o1600),
    "another folder": ("chdir", "/"),
}
FORBIDDEN: dict[str, tuple[str | int, ...]] = {
    **POSSIBLE,
    "reading the environment of a container's first process": ("open", "/proc/1/environ", READ),
    "making a file": ("creat", "/tmp/restora-was-here", 0o600),
    "starting a program": ("execve", "/bin/true", 0, 0),
    "starting a program that has no name": ("fexecve", 0, "", ""),
    "a process in a name space of its own": ("unshare", 0x10000000),
    "tracing a neighbour": ("ptrace", 16, ME, 0, 0),
    "being traced": ("ptrace", 0, 0, 0, 0),
    "reading a neighbour's memory": ("process_vm_readv", ME, 0, 0, 0, 0, 0),
    "writing a neighbour's memory": ("process_vm_writev", ME, 0, 0, 0, 0, 0),
    "ending a neighbour": ("tgkill", ME, ME, 0),
    "starving a neighbour": ("prlimit", ME, 0, 0, 0),
    "deleting": ("unlink", "/tmp/restora-is-not-here"),
    "renaming": ("rename", "/tmp/restora-is-not-here", "/tmp/restora-was-here"),
    "a folder": ("mkdir", "/tmp/restora-was-here", 0o700),
    "a link": ("symlink", "/etc/passwd", "/tmp/restora-was-here"),
    "mounting": ("mount", "none", "/mnt", "tmpfs", 0, 0),
    "a device's own calls": ("ioctl", 1, 0x5401, 0),
}
NEW_CALLS = {
    "pidfd_send_signal": 424,
    "io_uring_setup": 425,
    "pidfd_open": 434,
    "clone3": 435,
    "openat2": 437,
    "?": 999,
}


@pytest.mark.parametrize("what", POSSIBLE)
def test_without_a_filter_a_codec_that_was_taken_over_may_do_all_this(without_seccomp: Decoder, what: str) -> None:
    assert answer(without_seccomp, *POSSIBLE[what]) == "done"


@pytest.mark.parametrize("what", FORBIDDEN)
def test_with_it_the_kernel_refuses(taken_over: Decoder, what: str) -> None:
    assert answer(taken_over, *FORBIDDEN[what]) == "EPERM"


@pytest.mark.parametrize("name", NEW_CALLS)
def test_calls_that_are_newer_than_the_filter_do_not_exist(taken_over: Decoder, name: str) -> None:
    assert answer(taken_over, "syscall", NEW_CALLS[name], 0, 0, 0, 0) == "ENOSYS"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the others have no calls of 32 bits here")
def test_calls_by_other_doors_are_no_way_round_it(taken_over: Decoder) -> None:
    assert answer(taken_over, "syscall", 0x40000000 | 2, "/etc/passwd", READ) == "ENOSYS"  # open, of x32
    getpid_of_32_bits = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"  # mov eax, 20; int 0x80; ret
    try:
        status = measured(taken_over, "machine code", *getpid_of_32_bits).status
    except DeviceError:
        return
    assert status == -signal.SIGSEGV  # the kernel has no such door


def test_a_codec_that_gives_up_still_ends_its_process(taken_over: Decoder) -> None:
    ended = measured(taken_over, "abort")
    assert isinstance(ended.outcome, DamagedImage)
    assert (ended.status or 0) < 0


def test_where_the_kernel_has_no_filter_pictures_are_decoded_and_it_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with decoder_with(monkeypatch, WITHOUT_SECCOMP) as decoder, caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert decoder.decode(png(noise(4, 6))).size_wh == (6, 4)
    (record,) = caplog.records
    assert record.getMessage().endswith("this system takes no filter of system calls (Invalid argument)")


def test_where_the_filter_would_end_every_child_pictures_are_decoded_without_and_it_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with decoder_with(monkeypatch, TRANSLATED) as decoder, caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert decoder.decode(png(noise(4, 6))).size_wh == (6, 4)
    (record,) = caplog.records
    assert record.getMessage().endswith("a process that puts the filter of system calls on does not live (status -31)")


def test_a_child_that_is_ended_for_a_forbidden_call_does_not_make_its_picture_a_damaged_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with decoder_with(monkeypatch, DEADLY) as decoder:
        with pytest.raises(DeviceError, match="the decoding process did what its filter of system calls forbids"):
            measured(decoder, "open", "/etc/passwd", READ)
        assert decoder.decode(png(noise(4, 6))).size_wh == (6, 4)


def test_an_architecture_without_a_filter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(syscall_filter.UnfilteredError, match="no filter of system calls for linux on riscv64"):
        syscall_filter.prepare()()


def test_where_there_is_a_filter_nothing_is_said(taken_over: Decoder, caplog: pytest.LogCaptureFixture) -> None:
    assert taken_over.decode(png(noise(4, 6))).size_wh == (6, 4)
    assert caplog.records == []


def test_decoding_asks_for_nothing_that_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {**{name: make() for name, make in FILES.items()}, **{f"made {i}": each for i, each in enumerate(made())}}
    with decoder_with(monkeypatch, DEADLY) as decoder:
        with pytest.raises(DeviceError):
            measured(decoder, "open", "/etc/passwd", READ)
        for name, data in files.items():
            whole, half = decoder.measure(data), decoder.measure(data[: len(data) // 2])
            assert isinstance(whole.outcome, Picture), name
            assert (whole.status, half.status) == (0, 0), name


HEADERS = {
    "x86_64": ("x86_64-linux-gnu/asm/unistd_64.h", "asm/unistd_64.h"),
    "aarch64": ("asm-generic/unistd.h",),
}


@pytest.mark.parametrize("machine", HEADERS)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    headers = [path for name in HEADERS[machine] if (path := Path("/usr/include", name)).is_file()]
    if not headers:
        pytest.skip("needs the kernel's headers (Debian: linux-libc-dev)")
    text = headers[0].read_text("utf-8")
    theirs = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    calls = syscall_filter
    ours = {**calls.DENIED, "clone": calls.CLONE, "fcntl": calls.FCNTL, "prlimit64": calls.PRLIMIT64}
    assert {name: getattr(each, machine) for name, each in ours.items()} == {name: theirs.get(name) for name in ours}
    assert theirs["pidfd_send_signal"] == calls.FIRST_UNKNOWN


def verdict(machine: str, architecture: int, number: int, *arguments: int) -> int:
    """What the filter says, by the few instructions of BPF that it is made of (linux/bpf_common.h)."""
    data = struct.pack("<iIQ6Q", ctypes.c_int(number).value, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    program = list(struct.iter_unpack("<HBBI", syscall_filter.build(machine)))
    at = register = 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        match code:
            case 0x20:
                (register,) = struct.unpack_from("<I", data, value)
            case 0x54:
                register &= value
            case 0x15:
                at += if_true if register == value else if_false
            case 0x35:
                at += if_true if register >= value else if_false
            case 0x06:
                return int(value)
            case _:
                raise ValueError(code)


@pytest.mark.parametrize("machine", syscall_filter.ARCHITECTURES)
def test_the_filter_of_either_architecture_says_what_it_is_meant_to(machine: str) -> None:
    architecture = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
    read, write, clone, fcntl_, prlimit = {"x86_64": (0, 1, 56, 72, 302), "aarch64": (63, 64, 220, 25, 261)}[machine]
    allow, kill, denied, absent = 0x7FFF0000, 0x80000000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS

    def says(number: int, *arguments: int) -> int:
        return verdict(machine, architecture, number, *arguments)

    assert {verdict(machine, other, read) for other in (0x40000003, 0x40000028, 0)} == {kill}
    listed = {getattr(each, machine) for each in syscall_filter.DENIED.values()} - {None}
    assert {says(number) for number in listed} == {denied}
    assert {says(number) for number in (424, 435, 100_000, 0x40000000, -1)} == {absent}
    assert {says(number) for number in set(range(424)) - listed - {clone, prlimit}} == {allow}
    assert says(write, 1) == allow
    thread, process, new_user = 0x3D0F00, 0x1200011, 0x10000000
    assert [says(clone, flags) for flags in (thread, process, thread | new_user)] == [allow, denied, denied]
    assert [says(fcntl_, 0, command) for command in (1, 3, 8, 10, 15, 1030)] == [allow] * 2 + [denied] * 3 + [allow]
    assert [says(prlimit, whose) for whose in (0, 1)] == [allow, denied]
