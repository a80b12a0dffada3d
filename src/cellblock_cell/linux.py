"""The Linux system calls that Python's standard library lacks, each raising OSError with the name of what failed."""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

# namespaces: clone(2)
CLONE_NEWTIME = 0x00000080
CLONE_PIDFD = 0x00001000
CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID = 0x00200000, 0x01000000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
# mounts: mount(2), umount2(2)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 4096, 16384, 1 << 18, 1 << 19
MNT_DETACH = 2
# prctl(2)
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, PR_CAP_AMBIENT_CLEAR_ALL = 38, 40, 47, 2, 4
CAP_NET_ADMIN, CAP_SYS_ADMIN = 12, 21
PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP = 28, 1 << 2
SECCOMP_MODE_FILTER = 2
# system-call numbers of x86_64 and of the generic table (aarch64); calls newer than 5.0 share one number everywhere
_NUMBERS = {
    "x86_64": {"clone": 56, "pivot_root": 155, "capset": 126, "keyctl": 250},
    "aarch64": {"clone": 220, "pivot_root": 41, "capset": 91, "keyctl": 219},
}[os.uname().machine]
_CLOSE_RANGE = 436
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_CREATE_RULESET_VERSION, _LANDLOCK_RULE_PATH_BENEATH = 1, 1
_CAPABILITY_VERSION_3 = 0x20080522
_KEYCTL_JOIN_SESSION_KEYRING = 1
_OPEN_TREE, _MOVE_MOUNT, _OPENAT2, _MOUNT_SETATTR = 428, 429, 437, 442
_OPEN_TREE_CLONE, _AT_RECURSIVE, _AT_EMPTY_PATH, _MOVE_MOUNT_F_EMPTY_PATH = 1, 0x8000, 0x1000, 4
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_IDMAP = 1, 2, 4, 1 << 20
_AT_FDCWD, _RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS = -100, 2, 4
_MADV_COLLAPSE, _HUGE_PAGE = 25, 2 << 20
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_LOOPBACK_UP = struct.pack("16sh22x", b"lo", _IFF_UP)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
# what every cell calls is looked up here, in the template, with numbers and bytes as arguments: each object less is a page less
_cells_libc = ctypes.CDLL(None, use_errno=True)
_prctl, _mount, _unshare, _sethostname, _close_range = (
    _cells_libc[name] for name in ("prctl", "mount", "unshare", "sethostname", "syscall")
)
_prctl.argtypes = [ctypes.c_int, *(ctypes.c_ulong,) * 4]
_mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_sethostname.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
_close_range.argtypes = [ctypes.c_long, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint]
_signal = sys.modules["_signal"]
set_signal: Callable[[int, object], object] = _signal.signal
DEFAULT_HANDLER: object = _signal.SIG_DFL
"""What `signal` wraps in Python code, which looks for the names of numbers."""
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_MAP_FAILED = ctypes.c_void_p(-1).value


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def _syscall(what: str, number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    return _check(_libc.syscall(ctypes.c_long(number), *(_word(a) for a in arguments)), what)


def _word(value: int | bytes | ctypes.Array[ctypes.c_char] | None) -> object:
    return ctypes.c_long(value) if isinstance(value, int) else value


def write_file(path: str, text: str) -> None:
    """Write a file of the kernel's, or a new one, by system calls alone: Path.write_text costs a fresh fork a hundred page faults."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    result = _mount(source.encode(), target.encode(), kind.encode() or None, flags, data.encode() or None)
    if result < 0:
        _check(result, f"mount {kind or 'bind'} on {target}")


def cover(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """The same over what may not be there."""
    try:
        mount(source, target, kind, flags, data)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def bind(source: str, target: str, flags: int = 0) -> None:
    """Bind `source` with everything below it on `target`, then restrict the top of the new mount by `flags`."""
    mount(source, target, flags=MS_BIND | MS_REC)
    if flags:
        restrict(target, flags)


def restrict(target: str, flags: int) -> None:
    """Add MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC to a mount; in a user namespace the ones it has cannot be taken away."""
    present = os.statvfs(target).f_flag & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)  # ST_* have the same values
    mount("none", target, flags=MS_REMOUNT | MS_BIND | present | flags)


def unmount(target: str, flags: int = MNT_DETACH) -> None:
    """umount2(2)."""
    _check(_libc.umount2(target.encode(), flags), f"unmount {target}")


def open_without_links(path: str) -> int:
    """An O_PATH descriptor of an absolute path none of whose parts is a link (openat2(2))."""
    how = struct.pack("=QQQ", os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS)
    return _syscall(path, _OPENAT2, _AT_FDCWD, path.encode() + b"\0", how, len(how))


def detach_mount(descriptor: int, attributes: int, user_namespace: int | None = None) -> int:
    """A copy of the directory's mount and those below it that is mounted nowhere (open_tree(2), mount_setattr(2))."""
    tree = _syscall("open_tree", _OPEN_TREE, descriptor, b"\0", _AT_EMPTY_PATH | _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_RECURSIVE)
    if user_namespace is not None:
        attributes |= MOUNT_ATTR_IDMAP
    change = struct.pack("=QQQQ", attributes, 0, MS_PRIVATE, user_namespace or 0)
    try:
        _syscall("mount_setattr", _MOUNT_SETATTR, tree, b"\0", _AT_EMPTY_PATH | _AT_RECURSIVE, change, len(change))
    except OSError:
        os.close(tree)
        raise
    return tree


def attach_mount(descriptor: int, target: str) -> None:
    """Mount what `detach_mount` made (move_mount(2))."""
    _syscall(f"move_mount {target}", _MOVE_MOUNT, descriptor, b"\0", _AT_FDCWD, target.encode() + b"\0", _MOVE_MOUNT_F_EMPTY_PATH)


def pivot_root(new_root: str) -> None:
    """Make `new_root` the root and detach the old one, by stacking both on one place (pivot_root(2), NOTES)."""
    os.chdir(new_root)
    _syscall(f"pivot_root {new_root}", _NUMBERS["pivot_root"], b".", b".")
    unmount(".")
    os.chdir("/")


def unshare(flags: int) -> None:
    """unshare(2)."""
    _check(_unshare(flags), f"unshare {flags:#x}")


def set_hostname(name: str) -> None:
    """sethostname(2)."""
    _check(_sethostname(name.encode(), len(name.encode())), f"sethostname {name}")


def prctl(option: int, *arguments: int) -> int:
    """prctl(2) with integer arguments."""
    result: int = _prctl(option, *arguments, *(0,) * (4 - len(arguments)))
    return result if result >= 0 else _check(result, f"prctl {option}")


def fork_into(flags: int) -> tuple[int, int]:
    """One raw clone(2) that Python survives; (child's pid, its pidfd) in the parent, (0, -1) in the child.

    os.fork() cannot take namespace flags, and unshare() after it would cost a second fork for the PID namespace. The
    interpreter's own before and after hooks make a raw clone as safe as its fork. The caller must be single-threaded.
    """
    pidfd = ctypes.c_int(-1)
    flags |= CLONE_PIDFD | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | signal.SIGCHLD
    thread_id = _thread_id_address()
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    # PyDLL keeps the interpreter lock across the call: nothing else may run between the hooks
    pid = _raw_clone(ctypes.c_long(_NUMBERS["clone"]), ctypes.c_long(flags), None, ctypes.byref(pidfd), thread_id, None)
    if pid == 0:
        python.PyOS_AfterFork_Child()
        return 0, -1
    number = ctypes.get_errno()
    python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(number, os.strerror(number), f"clone with flags {flags:#x}")
    return pid, pidfd.value


def _thread_id_address() -> ctypes.c_void_p:
    """Where glibc caches this thread's id, so that the kernel can renew it in the child as glibc's own fork has it."""
    address = ctypes.c_void_p()
    _check(_libc.prctl(PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0), "prctl PR_GET_TID_ADDRESS")
    return address


_locked_libc = ctypes.PyDLL(None, use_errno=True)
_raw_clone: Callable[..., int] = _locked_libc.syscall


def close_from(first: int) -> None:
    """Close every descriptor from `first` on (close_range(2))."""
    _check(_close_range(_CLOSE_RANGE, first, 0xFFFFFFFF, 0), "close_range")


def close_all_but(*kept: int) -> None:
    """Close every descriptor but 0, 1, 2 and `kept`."""
    first = 3
    for descriptor in sorted(kept):
        if descriptor > first:
            _check(_close_range(_CLOSE_RANGE, first, descriptor - 1, 0), "close_range")
        first = descriptor + 1
    close_from(first)


def collapse_anonymous_memory() -> None:
    """Put this process's heap on huge pages, so that a fork copies a few entries of its page table, not one for every 4 kB.

    A write in a child still copies 4 kB only (Documentation/admin-guide/mm/transhuge.rst). Where the kernel has no
    MADV_COLLAPSE (before 6.1) or no memory for it, forks are slower and nothing else changes.
    """
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, rights, _, _, inode, *name = line.split(maxsplit=5)
        if rights == "rw-p" and inode == "0" and (not name or name[0] == "[heap]"):
            start, end = (int(bound, 16) for bound in span.split("-"))
            for at in range(-(-start // _HUGE_PAGE) * _HUGE_PAGE, end - _HUGE_PAGE + 1, _HUGE_PAGE):
                _libc.madvise(ctypes.c_void_p(at), ctypes.c_size_t(_HUGE_PAGE), _MADV_COLLAPSE)


def map_memory(length: int, rights: int, flags: int, descriptor: int = -1) -> int:
    """mmap(2), where the kernel likes; the address."""
    address: int = _libc.mmap(None, length, rights, flags, descriptor, 0)
    if address == _MAP_FAILED:
        _check(-1, "mmap")
    return address


def protect_memory(start: int, length: int, rights: int) -> None:
    """mprotect(2)."""
    _check(_libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(length), rights), "mprotect")


def unmap_memory(start: int, length: int) -> None:
    """munmap(2)."""
    _check(_libc.munmap(ctypes.c_void_p(start), ctypes.c_size_t(length)), "munmap")


def loopback_up() -> None:
    """Bring the loopback interface of this network namespace up (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, _LOOPBACK_UP)


def set_effective_user(number: int) -> None:
    """Another effective id with the same capabilities: who makes a user namespace is charged for what is in it (user_namespaces(7))."""
    prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    os.seteuid(number)


def join_new_session_keyring() -> None:
    """Leave the keyring inherited from the host (keyctl(2)); a kernel without keyrings has none to leave."""
    try:
        _syscall("keyctl", _NUMBERS["keyctl"], _KEYCTL_JOIN_SESSION_KEYRING, None)
    except OSError as error:
        if error.errno not in (38,):  # ENOSYS
            raise


@cache
def last_capability() -> int:
    """The highest number that this kernel knows; asked for in the template."""
    return int(Path("/proc/sys/kernel/cap_last_cap").read_text())


def drop_capabilities() -> None:
    """Empty the bounding, ambient, permitted, effective and inheritable sets (capabilities(7))."""
    for capability in range(last_capability() + 1):
        prctl(PR_CAPBSET_DROP, capability)
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _syscall("capset", _NUMBERS["capset"], header, bytes(24))


def keep_capabilities(*kept: int) -> None:
    """These and no others, also in the program that is executed next (capabilities(7), ambient set)."""
    bits = sum(1 << capability for capability in kept)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _syscall("capset", _NUMBERS["capset"], header, struct.pack("=III12x", bits, bits, bits))
    for capability in kept:
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def enter_namespace(descriptor: int, kind: int) -> None:
    """setns(2)."""
    _check(_libc.setns(descriptor, kind), f"setns {kind:#x}")


def no_new_privileges() -> None:
    """No exec below this process gains rights (PR_SET_NO_NEW_PRIVS)."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


class Filter:
    """A compiled filter as the kernel reads it: 8 bytes an instruction, as libseccomp exports it (seccomp(2))."""

    def __init__(self, program: bytes) -> None:
        self._code = ctypes.create_string_buffer(program, len(program))
        header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(self._code))
        self._header = ctypes.create_string_buffer(header, len(header))
        self._address = ctypes.addressof(self._header)

    def load(self) -> None:
        """Install it."""
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, self._address)


@cache
def landlock_abi() -> int:
    """The Landlock version of this kernel, 0 where it has none (landlock(7)); asked for in the template."""
    try:
        return _syscall("landlock", _LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    except OSError:
        return 0


def landlock_restrict(handled: int, scoped: int, allowed: dict[str, int]) -> None:
    """Deny the `handled` file-system rights except `allowed` below each path; `scoped` bounds signals and sockets (ABI 6)."""
    attributes = struct.pack("=QQQ", handled, 0, scoped) if scoped else struct.pack("=Q", handled)
    ruleset = _syscall("landlock ruleset", _LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path, rights in allowed.items():
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                rule = struct.pack("=Qi", rights, descriptor)
                _syscall(f"landlock rule {path}", _LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_PATH_BENEATH, rule, 0)
            finally:
                os.close(descriptor)
        _syscall("landlock restrict", _LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def send_with_descriptors(channel: socket.socket, data: bytes, descriptors: list[int]) -> None:
    """One message with descriptors (unix(7), SCM_RIGHTS)."""
    channel.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else [])
