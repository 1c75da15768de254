"""Decoding in another process, where a file can do no harm: within limits of memory and time that the kernel keeps.

A zygote (:mod:`models.decoding.zygote`), started with the first picture, has the libraries loaded and forks a child
for each one. Pixels come back in memory without a name that both processes map, so no temporary file is ever seen.
"""

from __future__ import annotations

import contextlib
import json
import logging
import mmap
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np

from models.decoding import wire
from models.decoding.limits import DecodeLimits
from models.decoding.shared_memory import nameless, seal, write
from models.decoding.zygote_process import ZygoteProcess
from models.errors import DamagedImage, DeviceError, ImageError, ImageTooComplex, ImageTooLarge, RestorationStopped
from models.picture import Picture
from models.stopping import ASKED_EVERY_S, check, never

logger = logging.getLogger(__name__)

GRACE_S = 1.5  # after which a child that outlived its own limit is killed from here
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
        self._owner, self._lock = os.getpid(), threading.Lock()
        self._zygote: ZygoteProcess | None = None
        self._has_warned = False

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def decode(
        self, data: bytes, limits: DecodeLimits | None = None, *, should_stop: Callable[[], bool] = never
    ) -> Picture:
        """Read the first picture of a file.

        Args:
            data: the whole file.
            limits: what is accepted, and what it may take.
            should_stop: asked ten times a second; a true answer ends the decoding process.

        Raises:
            UnsupportedFormat: no picture, or of a kind that is not read here.
            ImageTooLarge: above a limit, or more memory is needed than it may take.
            ImageTooComplex: takes too long.
            DamagedImage: cannot be decoded to its end.
            DeviceError: this machine does not let the decoding process start, live, or do what it must.
            RestorationStopped: ``should_stop`` said so.
        """
        outcome = self.measure(data, limits, should_stop=should_stop).outcome
        if isinstance(outcome, ImageError):
            raise outcome
        return outcome

    def measure(
        self, data: bytes, limits: DecodeLimits | None = None, *, should_stop: Callable[[], bool] = never
    ) -> Measured:
        """Like :meth:`decode`, with what it took.

        Raises:
            DeviceError: this machine does not let the decoding process start, live, or do what it must.
            RestorationStopped: ``should_stop`` said so.
        """
        limits = limits or DecodeLimits()
        start = time.monotonic()
        try:
            limits.check_length(len(data))
        except ImageError as exc:
            return Measured(outcome=exc, seconds=time.monotonic() - start, peak_bytes=0, status=None)
        for _ in range(ATTEMPTS):
            answer = self._ask(data, limits, should_stop)
            if answer.unfiltered and not self._has_warned:
                self._has_warned = True
                logger.warning("files are decoded with more rights than that takes: %s", answer.unfiltered)
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

    def _ask(self, data: bytes, limits: DecodeLimits, should_stop: Callable[[], bool]) -> _Answer:
        room = min(limits.max_pixels * SAMPLE_BYTES, limits.max_memory_bytes)
        ours, theirs = socket.socketpair()
        with ours, theirs, nameless("picture") as file, nameless("pixels") as memory:
            write(file, data)
            os.ftruncate(memory, room)
            seal(file)
            seal(memory)
            zygote = self._running()
            zygote.send(theirs, file, memory)
            theirs.close()
            with contextlib.suppress(OSError):  # it is seen below that nobody took it
                ours.sendall(wire.pack_limits(limits))
            try:
                lines, is_late = _lines(ours, time.monotonic() + limits.max_seconds + GRACE_S, should_stop)
            except RestorationStopped:
                zygote.kill()  # or its child would keep a core and memory for seconds, and who stops often has many
                raise
            if not lines:  # it hangs, or is dying; the next picture must not meet it
                zygote.kill()
            try:
                return _Answer(lines, memory, is_late=is_late)
            except (ValueError, LookupError, TypeError) as exc:
                raise DeviceError(f"the decoding process gave an answer that makes no sense: {exc}") from exc

    def _running(self) -> ZygoteProcess:
        if self._owner != os.getpid():  # forked; the lock may have been held by a thread that is not here
            self._owner, self._lock = os.getpid(), threading.Lock()
        with self._lock:
            if self._zygote is None or not self._zygote.is_alive():
                if self._zygote:
                    self._zygote.close()
                self._zygote = ZygoteProcess()
            return self._zygote


class _Answer:
    """What came back about one picture; read while the memory for its pixels is still open."""

    def __init__(self, lines: list[bytes], memory: int, *, is_late: bool) -> None:
        self.said: dict[str, Any] = {}
        self.ended: dict[str, Any] = {}
        self.unfiltered = ""
        self.is_late = is_late
        self.pixels = np.empty(0, np.uint8)
        for line in lines:
            said = json.loads(line)
            if "status" in said:
                self.ended = said
            elif "unfiltered" in said:
                self.unfiltered = wire.unpack_unfiltered(said)
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
        if number == signal.SIGSYS:  # no codec that nobody took over gets there: the filter does not fit this machine
            raise DeviceError("the decoding process did what its filter of system calls forbids")
        if self.is_late or number in TIME_SIGNALS:
            return ImageTooComplex(f"decoding took longer than {limits.max_seconds:g} s")
        if number == signal.SIGKILL:
            return ImageTooLarge(f"decoding was ended by the system; {limits.max_memory_bytes:,} bytes were allowed")
        return DamagedImage("the file is damaged in a way that ended the decoder")


def _lines(connection: socket.socket, deadline: float, should_stop: Callable[[], bool]) -> tuple[list[bytes], bool]:
    """Everything said until all who could say something are gone, and whether that took too long."""
    parts: list[bytes] = []
    total = 0
    while True:
        check(should_stop)
        left_s = deadline - time.monotonic()
        try:
            connection.settimeout(max(0.001, min(left_s, ASKED_EVERY_S)))
            part = connection.recv(1 << 20)
        except TimeoutError:
            if left_s > ASKED_EVERY_S:
                continue
            return [], True
        except ConnectionError:
            part = b""
        total += len(part)
        if not part or total > MAX_ANSWER:
            break
        parts.append(part)
    whole, _, _ = b"".join(parts).rpartition(b"\n")
    return whole.splitlines(), False
