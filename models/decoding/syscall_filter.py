"""What the process that decodes strangers' files may no longer ask of the kernel once it starts to do so.

Codecs are large C libraries, and a doctored file may make one run code of its sender's. That code runs as the
worker's user: without more ado it could read the token out of the environment of another process
(``/proc/1/environ``), reach the network, or start programs. So each child takes these rights from itself before it
touches its file, by a seccomp filter that it can never take off, and that its threads inherit. It needs no
privileges (``PR_SET_NO_NEW_PRIVS``). Left is what decoding takes: memory, time, threads, and the descriptors that
the child was handed.

Denied, with EPERM (:data:`DENIED` has the calls):

- **Opening anything**, which is what reading ``/proc/PID/environ`` and ``/proc/PID/mem`` needs. Libraries and codecs
  are loaded by then.
- **Changing** names, owners, rights and times of files, mounts, namespaces, the working folder.
- **Starting** programs, and any process at all: ``clone`` is for threads only. Nothing outlives its picture.
- **The network**: no socket is made or connected, and none of a neighbour's is taken over. The answer leaves through
  the socket the child was given, by ``sendto``; ``sendmsg`` could hand on descriptors.
- **Other processes**: their memory (``ptrace``, ``process_vm_readv``), signals to them (also those that ``fcntl`` and
  ``ioctl`` make the kernel send), their limits, priorities, processors. A signal to itself goes the same way:
  ``abort`` then ends in an illegal instruction, which is a crash as well. Leaving the process group, by which it is
  killed.
- **What processes share beside files**: System V and POSIX message queues, semaphores and memory, keys.
- **Large or privileged parts of the kernel**, where its own faults have been: bpf, performance counters, userfaultfd,
  asynchronous input and output, modules, clocks, personality.

Answered with ENOSYS: every call with a number from 424 on, which a kernel before 5.1 (2019) does not have either,
so that libraries know what to do then. Among them are io_uring (it would do what is denied above without asking the
filter), ``openat2``, the ``pidfd`` calls, the new mount calls, ``clone3`` (its flags lie in memory, where a filter
cannot look; the C library takes ``clone`` instead), what later kernels bring, and all of x32, whose numbers have a
high bit. Calls of another architecture, such as those of 32 bits, end the process. Where a program translates
one to another (Rosetta), that would be all of them: so the filter is tried on a process of its own first.

It is a list of what is denied: one of what is allowed would break with every new C library that does the same by
another call. Paths can still be asked about (``stat``). Numbers are from Linux's
``arch/x86/entry/syscalls/syscall_64.tbl`` and ``include/uapi/asm-generic/unistd.h`` (aarch64). Sources: seccomp(2),
prctl(2), syscalls(2), clone(2), fcntl(2) on F_SETOWN, credentials(7), proc(5),
Documentation/userspace-api/seccomp_filter.rst.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple


class Numbers(NamedTuple):
    """Of one call; None where an architecture does not have it."""

    x86_64: int | None
    aarch64: int | None


ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_* of linux/audit.h
FIRST_UNKNOWN = 424  # pidfd_send_signal, of Linux 5.1; from here on both architectures have the same numbers

DENIED = {
    # opening
    "open": Numbers(2, None),
    "openat": Numbers(257, 56),
    "creat": Numbers(85, None),
    "open_by_handle_at": Numbers(304, 265),
    "name_to_handle_at": Numbers(303, 264),
    "readlink": Numbers(89, None),
    "readlinkat": Numbers(267, 78),
    "memfd_create": Numbers(319, 279),
    "uselib": Numbers(134, None),
    "acct": Numbers(163, 89),
    "swapon": Numbers(167, 224),
    "swapoff": Numbers(168, 225),
    "quotactl": Numbers(179, 60),
    # changing what has a name
    "unlink": Numbers(87, None),
    "unlinkat": Numbers(263, 35),
    "rename": Numbers(82, None),
    "renameat": Numbers(264, 38),
    "renameat2": Numbers(316, 276),
    "mkdir": Numbers(83, None),
    "mkdirat": Numbers(258, 34),
    "rmdir": Numbers(84, None),
    "mknod": Numbers(133, None),
    "mknodat": Numbers(259, 33),
    "link": Numbers(86, None),
    "linkat": Numbers(265, 37),
    "symlink": Numbers(88, None),
    "symlinkat": Numbers(266, 36),
    "chmod": Numbers(90, None),
    "fchmod": Numbers(91, 52),
    "fchmodat": Numbers(268, 53),
    "chown": Numbers(92, None),
    "lchown": Numbers(94, None),
    "fchown": Numbers(93, 55),
    "fchownat": Numbers(260, 54),
    "truncate": Numbers(76, 45),
    "utime": Numbers(132, None),
    "utimes": Numbers(235, None),
    "futimesat": Numbers(261, None),
    "utimensat": Numbers(280, 88),
    "setxattr": Numbers(188, 5),
    "lsetxattr": Numbers(189, 6),
    "fsetxattr": Numbers(190, 7),
    "removexattr": Numbers(197, 14),
    "lremovexattr": Numbers(198, 15),
    "fremovexattr": Numbers(199, 16),
    "chdir": Numbers(80, 49),
    "fchdir": Numbers(81, 50),
    "chroot": Numbers(161, 51),
    "mount": Numbers(165, 40),
    "umount2": Numbers(166, 39),
    "pivot_root": Numbers(155, 41),
    "setns": Numbers(308, 268),
    "unshare": Numbers(272, 97),
    # starting
    "execve": Numbers(59, 221),
    "execveat": Numbers(322, 281),
    "fork": Numbers(57, None),
    "vfork": Numbers(58, None),
    # the network
    "socket": Numbers(41, 198),
    "socketpair": Numbers(53, 199),
    "connect": Numbers(42, 203),
    "bind": Numbers(49, 200),
    "listen": Numbers(50, 201),
    "accept": Numbers(43, 202),
    "accept4": Numbers(288, 242),
    "sendmsg": Numbers(46, 211),
    "sendmmsg": Numbers(307, 269),
    "recvmsg": Numbers(47, 212),
    "recvmmsg": Numbers(299, 243),
    # other processes
    "ptrace": Numbers(101, 117),
    "process_vm_readv": Numbers(310, 270),
    "process_vm_writev": Numbers(311, 271),
    "kcmp": Numbers(312, 272),
    "kill": Numbers(62, 129),
    "tkill": Numbers(200, 130),
    "tgkill": Numbers(234, 131),
    "rt_sigqueueinfo": Numbers(129, 138),
    "rt_tgsigqueueinfo": Numbers(297, 240),
    "setpriority": Numbers(141, 140),
    "sched_setparam": Numbers(142, 118),
    "sched_setscheduler": Numbers(144, 119),
    "sched_setattr": Numbers(314, 274),
    "sched_setaffinity": Numbers(203, 122),
    "ioprio_set": Numbers(251, 30),
    "migrate_pages": Numbers(256, 238),
    "move_pages": Numbers(279, 239),
    "get_robust_list": Numbers(274, 100),
    "setsid": Numbers(112, 157),
    "setpgid": Numbers(109, 154),
    "ioctl": Numbers(16, 29),
    # what processes share
    "shmget": Numbers(29, 194),
    "shmat": Numbers(30, 196),
    "shmctl": Numbers(31, 195),
    "semget": Numbers(64, 190),
    "semop": Numbers(65, 193),
    "semtimedop": Numbers(220, 192),
    "semctl": Numbers(66, 191),
    "msgget": Numbers(68, 186),
    "msgsnd": Numbers(69, 189),
    "msgrcv": Numbers(70, 188),
    "msgctl": Numbers(71, 187),
    "mq_open": Numbers(240, 180),
    "mq_unlink": Numbers(241, 181),
    "add_key": Numbers(248, 217),
    "request_key": Numbers(249, 218),
    "keyctl": Numbers(250, 219),
    # parts of the kernel
    "bpf": Numbers(321, 280),
    "perf_event_open": Numbers(298, 241),
    "userfaultfd": Numbers(323, 282),
    "io_setup": Numbers(206, 0),
    "io_submit": Numbers(209, 2),
    "inotify_init": Numbers(253, None),
    "inotify_init1": Numbers(294, 26),
    "inotify_add_watch": Numbers(254, 27),
    "fanotify_init": Numbers(300, 262),
    "fanotify_mark": Numbers(301, 263),
    "init_module": Numbers(175, 105),
    "finit_module": Numbers(313, 273),
    "delete_module": Numbers(176, 106),
    "kexec_load": Numbers(246, 104),
    "kexec_file_load": Numbers(320, 294),
    "reboot": Numbers(169, 142),
    "iopl": Numbers(172, None),
    "ioperm": Numbers(173, None),
    "modify_ldt": Numbers(154, None),
    "personality": Numbers(135, 92),
    "syslog": Numbers(103, 116),
    "settimeofday": Numbers(164, 170),
    "clock_settime": Numbers(227, 112),
    "adjtimex": Numbers(159, 171),
    "clock_adjtime": Numbers(305, 266),
    "sethostname": Numbers(170, 161),
    "setdomainname": Numbers(171, 162),
    "vmsplice": Numbers(278, 75),
    "vhangup": Numbers(153, 58),
    "lookup_dcookie": Numbers(212, 18),
}

# Denied by what they are asked to do; what decides is an int, or the kernel looks at the low 32 bits only.
CLONE, CLONE_THREAD = Numbers(56, 220), 0x00010000
NEW_NAMESPACES = 0x7E020000  # CLONE_NEW* of linux/sched.h
FCNTL, MAKES_SIGNALS = Numbers(72, 25), (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX
PRLIMIT64, OWN = Numbers(302, 261), 0  # of the process itself

# linux/bpf_common.h, linux/seccomp.h
LOAD, AND = 0x20, 0x54
EQUAL, AT_LEAST, RETURN = 0x15, 0x35, 0x06
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # bytes into struct seccomp_data; both architectures are little endian
ALLOW, KILL_PROCESS, FAIL_WITH = 0x7FFF0000, 0x80000000, 0x00050000

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2

TRIAL_S = 5  # in which a process that puts the filter on has to come to its end


class UnfilteredError(OSError):
    """The kernel does not take the filter, there is none for this architecture, or nothing can live with it."""


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def build(machine: str) -> bytes:
    """The filter of an architecture, as the kernel reads it: 8 bytes an instruction.

    Args:
        machine: ``x86_64`` or ``aarch64``.
    """
    return b"".join(
        (
            _step(LOAD, ARCHITECTURE),
            _step(EQUAL, ARCHITECTURES[machine], 1, 0),
            _step(RETURN, KILL_PROCESS),
            _step(LOAD, NUMBER),
            _step(AT_LEAST, FIRST_UNKNOWN, 0, 1),
            _fail(errno.ENOSYS),
            *(_when(getattr(numbers, machine), [_fail(errno.EPERM)]) for numbers in DENIED.values()),
            _when(getattr(CLONE, machine), _argument(0, [CLONE_THREAD], among=CLONE_THREAD | NEW_NAMESPACES)),
            _when(getattr(FCNTL, machine), _argument(1, MAKES_SIGNALS, are_allowed=False)),
            _when(getattr(PRLIMIT64, machine), _argument(0, [OWN])),
            _step(RETURN, ALLOW),
        )
    )


def prepare() -> Callable[[], None]:
    """What puts the filter on the process that calls it, for ever. Everything slow is done here.

    It forks, so it must be called before there are threads. Calling the result raises :class:`UnfilteredError` where
    the system has no such thing, or ends processes that have it on.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in ARCHITECTURES or sys.maxsize < 2**32:
        return _refusal(f"there is no filter of system calls for {sys.platform} on {machine}")
    instructions = build(machine)
    program = _Program(len(instructions) // 8, instructions)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    address = ctypes.addressof(program)

    def put_on() -> None:
        _ = program  # lives as long as what points to it
        for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, address, 0, 0)):
            if prctl(*arguments):
                number = ctypes.get_errno()
                raise UnfilteredError(number, f"this system takes no filter of system calls ({os.strerror(number)})")

    if status := _trial(put_on):
        return _refusal(f"a process that puts the filter of system calls on does not live (status {status})")
    return put_on


def _trial(put_on: Callable[[], None]) -> int:
    """How a process ends that puts the filter on: 0 as planned, also where it is refused, negative a signal."""
    process = os.fork()
    if process == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(TRIAL_S)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            with contextlib.suppress(UnfilteredError):  # each child will meet it, too, and say so
                put_on()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status)


def _refusal(reason: str) -> Callable[[], None]:
    def refuse() -> None:
        raise UnfilteredError(errno.ENOSYS, reason)

    return refuse


def _when(number: int | None, steps: Iterable[bytes]) -> bytes:
    """Do these steps, which have to end with a return, for the call of this number."""
    if number is None:
        return b""
    body = b"".join(steps)
    return _step(EQUAL, number, 0, len(body) // 8) + body


def _argument(index: int, values: Iterable[int], *, among: int = 0xFFFFFFFF, are_allowed: bool = True) -> list[bytes]:
    """Allow, or deny, exactly these values of the bits ``among`` of an argument."""
    listed, others = _step(RETURN, ALLOW), _fail(errno.EPERM)
    if not are_allowed:
        listed, others = others, listed
    compared = [step for value in values for step in (_step(EQUAL, value, 0, 1), listed)]
    return [_step(LOAD, ARGUMENTS + 8 * index), _step(AND, among), *compared, others]


def _fail(number: int) -> bytes:
    return _step(RETURN, FAIL_WITH | number)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """``struct sock_filter``; jumps count the instructions that are left out."""
    return struct.pack("<HBBI", code, if_true, if_false, value)
