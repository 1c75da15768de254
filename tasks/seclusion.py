"""Keeping what a process knows, the token and pictures above all, from its neighbours and from the disk."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys

PR_SET_DUMPABLE = 4  # linux/prctl.h


def seclude() -> None:
    """Let no crash write this process's memory to a disk, and no process of the same user read it.

    The process that decodes strangers' files runs as the same user as the one with the token. On Linux it can then read
    neither the other's environment nor its memory, and tools such as py-spy need root. Elsewhere only core files go.
    """
    with contextlib.suppress(ValueError, OSError):  # a hard limit of 0 is fine, too
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
