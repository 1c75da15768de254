"""Decoding in another process, where a file can do no harm: within limits of memory and time that the kernel keeps.

A zygote (:mod:`models.decoding.zygote`), started with the first picture, has the libraries loaded and forks a child
for each one. Pixels come back in memory without a name that both processes map, so no temporary file is ever seen.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from models.decoding import wire
from models.decoding.limits import DecodeLimits
from models.errors import DamagedImage, DeviceError, ImageError, ImageTooComplex, ImageTooLarge
from models.picture import Picture

ROOT = Path(__file__).resolve().parents[2]
# Nothing of our own environment, where tokens are. One thread each: a process with threads cannot be forked safely,
# and every further one takes address space.
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "PYTHONDONTWRITEBYTECODE": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "LC_ALL": "C.UTF-8",
}
GRACE_S = 1.5  # after which a child that outlived its own limit is killed from here
END_WAIT_S = 2.0  # for the zygote to end when it is told to
MAX_ANSWER = 64_000_000  # bytes; the longest part is a colour profile
ATTEMPTS = 2  # the second with a new zygote, should the first have died meanwhile
SAMPLE_BYTES = 8  # at most, of one pixel: four channels of 16 bits
TIME_SIGNALS = {signal.SIGALRM, signal.SIGXCPU}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """How the decoding of one file went.

    Args:
        outcome: the picture, or why there is none.
        seconds: from the call to the answer.
        peak_bytes: the most physical memory the child had; 0 where it is not known.
        status: how the child ended: 0 as planned, negative a signal; None if that is not known.
    """

    outcome: Picture | ImageError
    seconds: float
    peak_bytes: int
    status: int | None


class Decoder:
    """Decodes files in a child process. Threads may share one; a forked process starts its own zygote."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._zygote: _Zygote | None = None

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def decode(self, data: bytes, limits: DecodeLimits | None = None) -> Picture:
        """Read the first picture of a file.

        Args:
            data: the whole file.
            limits: what is accepted, and what it may take.

        Raises:
            UnsupportedFormat: no picture, or of a kind that is not read here.
            ImageTooLarge: above a limit, or more memory is needed than it may take.
            ImageTooComplex: takes too long.
            DamagedImage: cannot be decoded to its end.
            DeviceError: this machine does not let the decoding process start, or live.
        """
        outcome = self.measure(data, limits).outcome
        if isinstance(outcome, ImageError):
            raise outcome
        return outcome

    def measure(self, data: bytes, limits: DecodeLimits | None = None) -> Measured:
        """Like :meth:`decode`, with what it took.

        Raises:
            DeviceError: this machine does not let the decoding process start, or live.
        """
        limits = limits or DecodeLimits()
        start = time.monotonic()
        try:
            limits.check_length(len(data))
        except ImageError as exc:
            return Measured(outcome=exc, seconds=time.monotonic() - start, peak_bytes=0, status=None)
        for _ in range(ATTEMPTS):
            answer = self._ask(data, limits)
            if answer.said or answer.ended or answer.is_late:
                outcome = answer.outcome(limits)
                return Measured(
                    outcome=outcome,
                    seconds=time.monotonic() - start,
                    peak_bytes=answer.ended.get("peak_bytes", 0),
                    status=answer.ended.get("status"),
                )
        raise DeviceError("the decoding process died twice with one picture before it could say anything")

    def close(self) -> None:
        """End the zygote; the next picture starts another."""
        with self._lock:
            zygote, self._zygote = self._zygote, None
        if zygote:
            zygote.close()

    def _ask(self, data: bytes, limits: DecodeLimits) -> _Answer:
        room = min(limits.max_pixels * SAMPLE_BYTES, limits.max_memory_bytes)
        ours, theirs = socket.socketpair()
        with ours, theirs, _nameless("picture") as file, _nameless("pixels") as memory:
            _write(file, data)
            os.ftruncate(memory, room)
            _seal(file)
            _seal(memory)
            zygote = self._running()
            zygote.send(theirs, file, memory)
            theirs.close()
            with contextlib.suppress(OSError):  # it is seen below that nobody took it
                ours.sendall(wire.pack_limits(limits))
            lines, is_late = _lines(ours, deadline=time.monotonic() + limits.max_seconds + GRACE_S)
            if is_late:
                zygote.kill()
            return _Answer(lines, memory, is_late=is_late)

    def _running(self) -> _Zygote:
        with self._lock:
            if self._zygote is None or not self._zygote.is_alive():
                if self._zygote:
                    self._zygote.close()
                self._zygote = _Zygote()
            return self._zygote


class _Answer:
    """What came back about one picture; read while the memory for its pixels is still open."""

    def __init__(self, lines: list[bytes], memory: int, *, is_late: bool) -> None:
        self.said: dict[str, Any] = {}
        self.ended: dict[str, Any] = {}
        self.is_late = is_late
        self.pixels = np.empty(0, np.uint8)
        for line in lines:
            said = json.loads(line)
            if "status" in said:
                self.ended = said
            else:
                self.said = said
        if "height" in self.said:
            length = wire.result_bytes(self.said)
            if not 0 < length <= os.fstat(memory).st_size:
                raise DeviceError(f"the decoding process says the picture has {length:,} bytes")
            self.pixels = np.frombuffer(mmap.mmap(memory, length), np.uint8)

    def outcome(self, limits: DecodeLimits) -> Picture | ImageError:
        if "error" in self.said:
            return wire.unpack_error(self.said)
        if self.said:
            return wire.unpack_picture(self.said, self.pixels, limits)
        number = -int(self.ended.get("status", 0))
        if self.is_late or number in TIME_SIGNALS:
            return ImageTooComplex(f"decoding took longer than {limits.max_seconds:g} s")
        if number == signal.SIGKILL:
            return ImageTooLarge(f"decoding was ended by the system; {limits.max_memory_bytes:,} bytes were allowed")
        return DamagedImage("the file is damaged in a way that ended the decoder")


class _Zygote:
    """The running process, and how to end it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "models.decoding.zygote"],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # libraries write what they think of a file there
                    env=ENVIRONMENT,
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as exc:
                ours.close()
                raise DeviceError(f"the decoding process cannot be started: {exc}") from exc
        self._control = ours
        self._owner = os.getpid()
        self._sending = threading.Lock()
        self._end = weakref.finalize(self, _end, self._process, ours, self._owner)

    def is_alive(self) -> bool:
        """Whether it still runs, and is ours, not that of the process we were forked from."""
        return self._owner == os.getpid() and self._process.poll() is None

    def send(self, *descriptors: socket.socket | int) -> None:
        """Hand one picture over; if it has died, nobody will answer."""
        numbers = [each if isinstance(each, int) else each.fileno() for each in descriptors]
        with self._sending, contextlib.suppress(OSError):
            socket.send_fds(self._control, [b"p"], numbers)

    def kill(self) -> None:
        """End it and its children at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it, and wait for that."""
        self._end()


def _end(process: subprocess.Popen[bytes], control: socket.socket, owner: int) -> None:
    control.close()
    if owner != os.getpid():
        process.returncode = 0  # another process's child: nothing to wait for, nor to warn about
        return
    try:
        process.wait(END_WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _lines(connection: socket.socket, deadline: float) -> tuple[list[bytes], bool]:
    """Everything said until all who could say something are gone, and whether that took too long."""
    parts: list[bytes] = []
    total = 0
    while True:
        ready, _, _ = select.select([connection], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return [], True
        try:
            part = connection.recv(1 << 20)
        except ConnectionError:
            part = b""
        total += len(part)
        if not part or total > MAX_ANSWER:
            break
        parts.append(part)
    whole, _, _ = b"".join(parts).rpartition(b"\n")
    return whole.splitlines(), False


@contextlib.contextmanager
def _nameless(name: str) -> Iterator[int]:
    """A descriptor of memory without a name; of an unlinked file where the system has no such thing."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _seal(descriptor: int) -> None:
    """Keep anybody from making it shorter: who has it mapped would die of that."""
    if hasattr(fcntl, "F_ADD_SEALS"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
