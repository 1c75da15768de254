"""The decoding process as its parent sees it: how it is started, handed pictures, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from pathlib import Path

from models.errors import DeviceError

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
PROGRAM = ("-P", "-m", "models.decoding.zygote")  # what Python is to run
END_WAIT_S = 2.0  # for the zygote to end when it is told to


class ZygoteProcess:
    """The running process, and how to end it."""

    def __init__(self) -> None:
        """Start it.

        Raises:
            DeviceError: the system does not let it start.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - the words of PROGRAM are ours
                    [sys.executable, *PROGRAM],
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
        """End it and its children at once, and wait for that."""
        with contextlib.suppress(ProcessLookupError, PermissionError, subprocess.TimeoutExpired):
            if self.is_alive():  # else its number may be somebody else's by now
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(END_WAIT_S)

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
