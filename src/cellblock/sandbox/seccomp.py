"""The system-call filter of a cell, compiled with libseccomp to the bytes that the kernel loads."""

from __future__ import annotations

import errno
import struct
import tempfile
from collections.abc import Iterator

from cellblock.errors import HostNotReady
from cellblock.sandbox.policy import Policy

try:
    import pyseccomp
except RuntimeError as error:  # its way of saying that the C library is missing
    raise ImportError("cellblock needs the library libseccomp; on Debian and Ubuntu: apt install libseccomp2") from error

_LOW_32 = 0xFFFFFFFF
_NAMESPACE_FLAGS = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)  # CLONE_NEW* of clone(2)
_TERMINAL_INJECTION = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_ALLOWED_FAMILIES = {1, 2, 10, 16}  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK
_INTERNET_FAMILIES = (2, 10)
_FAMILY_COUNT = 64  # AF_MAX is 46; the kernel refuses what lies beyond
_NETLINK, _ROUTE_PROTOCOL, _NETLINK_PROTOCOLS = 16, 0, 32
_SOCK_TYPE_MASK, _SOCK_RAW, _SOCK_PACKET = 0xF, 3, 10
_PERSONALITY_ALLOWED_BITS = 0x20008  # UNAME26 and the old SVR4 value 8, as the policy lists them
# x86_64 numbers of calls newer than the libseccomp of the oldest distribution supported; from 424 on all architectures share them
_NEW_NUMBERS = {
    "quotactl_fd": 443,
    "memfd_secret": 447,
    "set_mempolicy_home_node": 450,
    "statmount": 457,
    "listmount": 458,
    "open_tree_attr": 467,
    "listns": 470,
}

Rule = tuple[int, str | int, tuple[pyseccomp.Arg, ...]]


def compile_filter(policy: Policy) -> bytes:
    """The filter as an array of 8-byte instructions; raises HostNotReady when libseccomp refuses a rule."""
    program = pyseccomp.SyscallFilter(defaction=pyseccomp.ALLOW)
    program.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.ERRNO(errno.ENOSYS))  # x32 and i386 entry
    program.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)  # a binary tree: the deny list is walked at every call
    for action, call, conditions in _rules(policy):
        try:
            program.add_rule(action, call, *conditions)
        except OSError as error:
            raise HostNotReady(f"libseccomp refuses the rule for {call}: {error.strerror}; update libseccomp2") from error
    with tempfile.TemporaryFile() as exported:
        program.export_bpf(exported)
        exported.seek(0)
        return _refuse_newer_calls(policy.newest_reviewed_call) + exported.read()


def _rules(policy: Policy) -> Iterator[Rule]:
    for name in policy.denied_calls:
        if (call := _resolve(name)) is not None:
            yield pyseccomp.ERRNO(errno.EPERM), call, ()
    for name in policy.absent_calls:
        yield pyseccomp.ERRNO(errno.ENOSYS), name, ()
    for call, conditions in _argument_rules():
        yield pyseccomp.ERRNO(errno.EPERM), call, conditions


def _resolve(name: str) -> str | int | None:
    """The call as libseccomp takes it; None for one that this architecture never had."""
    if name in _NEW_NUMBERS:
        return _NEW_NUMBERS[name]
    try:
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    except ValueError as error:
        raise HostNotReady(f"libseccomp does not know the system call {name}; update libseccomp2") from error
    return name if isinstance(number, int) and number >= 0 else None


def _argument_rules() -> Iterator[tuple[str, tuple[pyseccomp.Arg, ...]]]:
    """Rules on arguments; the kernel ignores the high halves of these, so each comparison masks them."""
    for flag in _NAMESPACE_FLAGS:
        yield "clone", (pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag),)
    for request in _TERMINAL_INJECTION:
        yield "ioctl", (_low_32(1, request),)
    yield "prlimit64", (pyseccomp.Arg(0, pyseccomp.NE, 0),)  # no limits set on the agent; 0 is the caller itself
    for bit in range(31):
        yield from _personality_rules(1 << bit)
    for family in set(range(_FAMILY_COUNT)) - _ALLOWED_FAMILIES:
        yield "socket", (_low_32(0, family),)
    for family in _INTERNET_FAMILIES:
        for kind in (_SOCK_RAW, _SOCK_PACKET):
            yield "socket", (_low_32(0, family), pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _SOCK_TYPE_MASK, kind))
    for protocol in range(_NETLINK_PROTOCOLS):
        if protocol != _ROUTE_PROTOCOL:
            yield "socket", (_low_32(0, _NETLINK), _low_32(2, protocol))


def _personality_rules(bit: int) -> Iterator[tuple[str, tuple[pyseccomp.Arg, ...]]]:
    """0xffffffff only asks; any other value may have the allowed bits alone."""
    top = 1 << 31
    if not bit & _PERSONALITY_ALLOWED_BITS:
        yield "personality", (pyseccomp.Arg(0, pyseccomp.MASKED_EQ, top | bit, bit),)
    yield "personality", (pyseccomp.Arg(0, pyseccomp.MASKED_EQ, top | bit, top),)


def _low_32(index: int, value: int) -> pyseccomp.Arg:
    return pyseccomp.Arg(index, pyseccomp.MASKED_EQ, _LOW_32, value)


def _refuse_newer_calls(newest: int) -> bytes:
    """Instructions before libseccomp's: numbers above the newest reviewed (x32's bit among them) answer ENOSYS.

    Load the number; if it is greater, return; else fall through (linux/filter.h: BPF_LD, BPF_JMP|BPF_JGT, BPF_RET).
    """
    load = struct.pack("HBBI", 0x20, 0, 0, 0)
    jump = struct.pack("HBBI", 0x25, 0, 1, newest)
    refuse = struct.pack("HBBI", 0x06, 0, 0, pyseccomp.ERRNO(errno.ENOSYS))
    return load + jump + refuse
