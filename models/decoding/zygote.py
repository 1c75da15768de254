"""The process that decodes: it loads the libraries once and forks a child with limits for every picture.

What a child may ask of the kernel is cut down before it looks at its picture (:mod:`models.decoding.syscall_filter`).

It speaks to its parent over file descriptor 0, a socket: one byte per picture, with three descriptors: a socket for
the answer, the file's bytes, and memory for the pixels. It ends when that socket does, which is when the parent
closes it or dies in any way.
"""

from __future__ import annotations

import contextlib
import gc
import io
import mmap
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageCms

from models.decoding import syscall_filter, wire
from models.decoding.canvas import Bytes
from models.decoding.limits import DecodeLimits
from models.decoding.reading import decode_here
from models.errors import ImageError, ImageTooLarge
from models.picture import Picture

CONTROL = 0  # the file descriptor
ORPHAN_CHECK_S = 5.0  # how often it looks whether it still has its parent, should a copy of the socket live on
SPARE_DESCRIPTORS = 16  # that a child may open besides those it has
FAILED = 70  # exit status of a child that met what nobody expected
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes; of ru_maxrss

# Service managers send SIGTERM to every process of a service; a picture that is being decoded is still wanted then.
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Serve until the parent is gone."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(1)  # threads do not survive a fork
    Image.MAX_IMAGE_PIXELS = None  # sizes are checked here, with numbers that can be told
    warm_up()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    gc.disable()  # a child lives for one picture, and what is loaded now stays shared with it
    gc.freeze()
    Zygote(socket.socket(fileno=CONTROL), wake_read, syscall_filter.prepare()).serve()


def warm_up() -> None:
    """Decode a picture of every format, so that no child has to load what all of them need."""
    Image.init()
    image = Image.new("RGBA", (2, 2), (1, 2, 3, 4))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for format_ in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF"):
        file = io.BytesIO()
        image.convert("RGB" if format_ in {"JPEG", "BMP"} else "RGBA").save(file, format_, icc_profile=profile)
        decode_here(file.getvalue(), DecodeLimits())
    _address_space()


class Zygote:
    """The loop between the parent and the children.

    Args:
        control: where pictures come from.
        wakeup: becomes readable when a child has ended.
        put_on_filter: called by each child before it looks at its file.
    """

    def __init__(self, control: socket.socket, wakeup: int, put_on_filter: Callable[[], None]) -> None:
        self._control, self._wakeup, self._put_on_filter = control, wakeup, put_on_filter
        self._children: dict[int, socket.socket] = {}  # by process id, where to say how each ended

    def serve(self) -> None:
        """Fork and reap until there is no parent any more; then nobody wants what the children do."""
        parent = os.getppid()
        while os.getppid() == parent:
            ready, _, _ = select.select([self._control.fileno(), self._wakeup], [], [], ORPHAN_CHECK_S)
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
            self._reap()
            if self._control.fileno() in ready and not self._take():
                break
        for child in self._children:
            os.kill(child, signal.SIGKILL)

    def _take(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._control, 1, 3)
        if not message:
            return False
        answer, file, memory = descriptors
        child = os.fork()
        if child == 0:
            for inherited in (*self._children.values(), self._control):
                inherited.close()
            _decode_and_exit(socket.socket(fileno=answer), file, memory, self._put_on_filter)
        os.close(file)
        os.close(memory)
        self._children[child] = socket.socket(fileno=answer)
        return True

    def _reap(self) -> None:
        for child in list(self._children):
            done, status, usage = os.wait4(child, os.WNOHANG)
            if done:
                with self._children.pop(child) as answer:
                    end = wire.pack_end(os.waitstatus_to_exitcode(status), usage.ru_maxrss * RSS_UNIT)
                    _send(answer, end)


def _decode_and_exit(answer: socket.socket, file: int, memory: int, put_on_filter: Callable[[], None]) -> None:
    """The whole life of a child."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        (length,) = struct.unpack("<I", _exactly(answer, 4))
        limits = wire.unpack_limits(_exactly(answer, length))
        _confine(limits)
        try:
            put_on_filter()
        except syscall_filter.UnfilteredError as exc:
            _send(answer, wire.pack_unfiltered(exc))
        _send(answer, _decoded(_content(file), limits, memory))
        os._exit(0)
    finally:
        os._exit(FAILED)  # nothing of what the parent process does at its end may happen here


def _decoded(data: bytes, limits: DecodeLimits, memory: int) -> bytes:
    shared = SharedMemory(memory)
    try:
        picture = decode_here(data, limits, allocate=shared.allocate)
        shared.give_back_behind(picture)
        return wire.pack_picture(picture)
    except ImageError as exc:
        return wire.pack_error(exc)
    except MemoryError:
        return wire.pack_error(ImageTooLarge(f"decoding takes more than {limits.max_memory_bytes:,} bytes of memory"))


class SharedMemory:
    """The memory for the result, mapped when its size is known."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._map: mmap.mmap | None = None

    def allocate(self, length: int) -> Bytes:
        """The first ``length`` bytes of it."""
        room = os.fstat(self._descriptor).st_size
        if length > room:
            raise ImageTooLarge(f"the decoded picture has {length:,} bytes, there is room for {room:,}")
        self._map = mmap.mmap(self._descriptor, length, mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0))
        return np.frombuffer(self._map, np.uint8)

    def give_back_behind(self, picture: Picture) -> None:
        """Free the pages that a picture which became smaller does not use."""
        used = picture.pixels.nbytes + (picture.alpha.nbytes if picture.alpha is not None else 0)
        start = -(-used // mmap.PAGESIZE) * mmap.PAGESIZE
        if self._map and start < len(self._map) and hasattr(mmap, "MADV_REMOVE"):
            self._map.madvise(mmap.MADV_REMOVE, start, len(self._map) - start)


def _confine(limits: DecodeLimits) -> None:
    """Limits that the kernel keeps, whatever happens in the libraries."""
    seconds = limits.max_seconds
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    used = time.process_time()
    start = _address_space()
    for kind, most in (
        (resource.RLIMIT_AS, start + limits.max_memory_bytes if start else resource.RLIM_INFINITY),
        (resource.RLIMIT_CPU, int(used + seconds) + 2),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, SPARE_DESCRIPTORS),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = (
            most if hard == resource.RLIM_INFINITY else hard if most == resource.RLIM_INFINITY else min(most, hard)
        )
        resource.setrlimit(kind, (allowed, allowed))


def _address_space() -> int:
    """Bytes of address space in use; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  (a hundred times quicker than Path)
            return int(file.read().split()[0]) * mmap.PAGESIZE
    except OSError:
        return 0


def _content(descriptor: int) -> bytes:
    length = os.fstat(descriptor).st_size
    if not length:
        return b""
    with mmap.mmap(descriptor, length, prot=mmap.PROT_READ) as mapped:
        return bytes(mapped)


def _exactly(connection: socket.socket, length: int) -> bytes:
    parts = b""
    while len(parts) < length:
        part = connection.recv(length - len(parts))
        if not part:
            raise EOFError("the parent is gone")
        parts += part
    return parts


def _send(answer: socket.socket, line: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody waits for it any more
        answer.sendall(line)


if __name__ == "__main__":
    main()
