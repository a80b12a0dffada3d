"""Tries one thing of the kernel that cells need; run as a process of its own, since most of it cannot be undone.

Usage: python -I doctor_probe.py NAME   (one of PROBES; prints what it found; status 1 and the reason when it is missing)
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from cellblock_cell import packet_filter
from cellblock_cell.likeness import LikenessFile
from cellblock_cell.machine_code import exchange_equal

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
ALLOW_ALL = (0x06).to_bytes(2, sys.byteorder) + b"\0\0" + (0x7FFF0000).to_bytes(4, sys.byteorder)  # BPF_RET, SECCOMP_RET_ALLOW
SYS_LANDLOCK_CREATE_RULESET, LANDLOCK_CREATE_RULESET_VERSION = 444, 1

_libc = ctypes.CDLL(None, use_errno=True)


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def namespaces() -> str:
    """Every namespace that a cell has."""
    _unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)
    return "user, PID, mount, network, IPC, UTS and cgroup"


def overlay() -> str:
    """An overlay mounted by an ordinary user of a user namespace, written to."""
    user, group = os.geteuid(), os.getegid()
    _unshare(CLONE_NEWUSER | CLONE_NEWNS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        Path("/proc/self", name).write_text(text)
    place = Path(tempfile.gettempdir())
    _mount(b"probe", bytes(place), b"tmpfs", b"")
    lower, upper, work, merged = (place / name for name in ("lower", "upper", "work", "merged"))
    for directory in (lower, upper, work, merged):
        directory.mkdir()
    (lower / "file").write_text("lower")
    _mount(b"overlay", bytes(merged), b"overlay", f"lowerdir={lower},upperdir={upper},workdir={work},userxattr".encode())
    (merged / "file").write_text("upper")
    return "mounted and written in a user namespace"


def seccomp() -> str:
    """A filter that allows everything."""
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")
    program = _Filter(1, ALLOW_ALL)
    _check(_libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0), "prctl(PR_SET_SECCOMP)")
    return "a filter was loaded"


def landlock() -> str:
    """The version of Landlock that the kernel speaks."""
    version = _libc.syscall(SYS_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(LANDLOCK_CREATE_RULESET_VERSION))
    _check(version if version < 0 else 0, "landlock_create_ruleset")
    return f"ABI {version}"


def packet_rules() -> str:
    """The kernel's packet filter, as an ordinary user has it in a network of his own."""
    _unshare(CLONE_NEWUSER | CLONE_NEWNET)
    packet_filter.install([packet_filter.PacketRule(network="10.0.0.0/8", is_open=False)])
    return "nf_tables closes addresses in a network namespace"


def memory_at_rest() -> str:
    """A page exchanged for an equal one of a file, as the template tries it."""
    exchange = exchange_equal()
    if exchange is None:
        raise OSError(errno.ENOSYS, f"there is no routine for {os.uname().machine} with pages of {mmap.PAGESIZE} bytes")
    file = LikenessFile(exchange)
    try:
        file.trial()
    except OSError as error:
        raise OSError(error.errno, f"the kernel exchanges no pages: {error.strerror}") from error
    finally:
        os.close(file.descriptor)
    return "pages that equal other sessions' are given back"


def _unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def _mount(source: bytes, target: bytes, kind: bytes, options: bytes) -> None:
    _check(_libc.mount(source, target, kind, ctypes.c_ulong(0), options), f"mount of {kind.decode()}")


def _check(status: int, what: str) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


PROBES: dict[str, Callable[[], str]] = {
    "namespaces": namespaces,
    "overlay": overlay,
    "seccomp": seccomp,
    "landlock": landlock,
    "packet_rules": packet_rules,
    "memory_at_rest": memory_at_rest,
}

if __name__ == "__main__":
    try:
        sys.stdout.write(PROBES[sys.argv[1]]() + "\n")
    except OSError as error:
        sys.exit(f"{error.strerror or error}")
