"""The filter, interpreted instruction by instruction: what each system call and argument answers."""

from __future__ import annotations

import dataclasses
import errno
import struct
from pathlib import Path

import pytest

from cellblock.sandbox.policy import Policy, default_policy
from cellblock.sandbox.seccomp import compile_filter

X86_64, I386 = 0xC000003E, 0x40000003
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBERS = {"ptrace": 101, "mount": 165, "clone": 56, "clone3": 435, "ioctl": 16, "socket": 41, "personality": 135, "prlimit64": 302}
NUMBERS |= {"io_uring_setup": 425, "bpf": 321, "memfd_secret": 447, "statmount": 457, "open_tree_attr": 467, "read": 0, "execve": 59}


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    folder = tmp_path_factory.mktemp("policy")
    return default_policy(runtime=folder, code=folder, base_prefix="/usr")


@pytest.fixture(scope="module")
def program(policy: Policy) -> list[tuple[int, int, int, int]]:
    code = compile_filter(policy)
    return [struct.unpack_from("HBBI", code, at) for at in range(0, len(code), 8)]


def run(program: list[tuple[int, int, int, int]], number: int, arguments: tuple[int, ...] = (), arch: int = X86_64) -> int:
    """Classic BPF as the kernel runs it for seccomp: 32-bit loads from struct seccomp_data, jumps, and-masks, return."""
    words = (*arguments, *(0,) * 6)[:6]
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, arch, 0, *words)
    accumulator = at = 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        if code == 0x20:
            accumulator = struct.unpack_from("I", data, value)[0]
        elif code == 0x54:
            accumulator &= value
        elif code == 0x05:
            at += value
        elif code == 0x06:
            return value
        else:
            holds = {0x15: accumulator == value, 0x25: accumulator > value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[
                code
            ]
            at += if_true if holds else if_false


def denied(number: int = errno.EPERM) -> int:
    return ERRNO | number


@pytest.mark.parametrize("name", ["ptrace", "mount", "io_uring_setup", "bpf", "memfd_secret", "statmount", "open_tree_attr"])
def test_a_call_of_the_deny_list_answers_eperm(program: list[tuple[int, int, int, int]], name: str) -> None:
    assert run(program, NUMBERS[name]) == denied()


@pytest.mark.parametrize("name", ["read", "execve", "clone", "ioctl", "socket"])
def test_an_ordinary_call_is_allowed(program: list[tuple[int, int, int, int]], name: str) -> None:
    assert run(program, NUMBERS[name], (1,)) == ALLOW


def test_clone3_is_absent_so_that_libraries_use_clone(program: list[tuple[int, int, int, int]]) -> None:
    assert run(program, NUMBERS["clone3"]) == denied(errno.ENOSYS)


@pytest.mark.parametrize("flag", [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000])
def test_clone_with_any_namespace_flag_is_refused(program: list[tuple[int, int, int, int]], flag: int) -> None:
    assert run(program, NUMBERS["clone"], (flag | 17,)) == denied()
    assert run(program, NUMBERS["clone"], (flag | 17 | 1 << 40,)) == denied()


@pytest.mark.parametrize("request_number", [0x5412, 0x541C])
def test_terminal_injection_is_refused_with_high_bits_set_too(program: list[tuple[int, int, int, int]], request_number: int) -> None:
    assert run(program, NUMBERS["ioctl"], (0, request_number)) == denied()
    assert run(program, NUMBERS["ioctl"], (0, request_number | 1 << 32)) == denied()


@pytest.mark.parametrize("family", [3, 4, 5, 9, 15, 17, 29, 38, 40, 44, 45])
def test_sockets_of_other_families_are_refused(program: list[tuple[int, int, int, int]], family: int) -> None:
    assert run(program, NUMBERS["socket"], (family, 3, 0)) == denied()
    assert run(program, NUMBERS["socket"], (family | 1 << 32, 3, 0)) == denied()


@pytest.mark.parametrize("kind", [3, 10, 3 | 0o2000000])
@pytest.mark.parametrize("family", [2, 10])
def test_raw_and_packet_sockets_are_refused(program: list[tuple[int, int, int, int]], family: int, kind: int) -> None:
    assert run(program, NUMBERS["socket"], (family, kind, 0)) == denied()


def test_netlink_is_for_routes_only(program: list[tuple[int, int, int, int]]) -> None:
    assert run(program, NUMBERS["socket"], (16, 3, 0)) == ALLOW
    assert run(program, NUMBERS["socket"], (16, 3, 9)) == denied()


@pytest.mark.parametrize("persona", [0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF])
def test_usual_personalities_are_allowed(program: list[tuple[int, int, int, int]], persona: int) -> None:
    assert run(program, NUMBERS["personality"], (persona,)) == ALLOW


@pytest.mark.parametrize("persona", [0x0040000, 0x0400000, 0x80000000, 0xFFFFFFFE, 0x0800000])
def test_other_personalities_are_refused(program: list[tuple[int, int, int, int]], persona: int) -> None:
    assert run(program, NUMBERS["personality"], (persona,)) == denied()


def test_limits_of_other_processes_cannot_be_set(program: list[tuple[int, int, int, int]]) -> None:
    assert run(program, NUMBERS["prlimit64"], (0, 7)) == ALLOW
    assert run(program, NUMBERS["prlimit64"], (1, 7)) == denied()


@pytest.mark.parametrize("number", [470, 471, 511, 0x40000000, 0x40000000 | 101, 0xFFFFFFFF])
def test_numbers_beyond_the_newest_reviewed_are_absent(program: list[tuple[int, int, int, int]], number: int) -> None:
    assert run(program, number) == denied(errno.ENOSYS)


def test_calls_by_the_32_bit_entry_are_absent(program: list[tuple[int, int, int, int]]) -> None:
    assert run(program, 26, arch=I386) == denied(errno.ENOSYS)


def test_a_call_taken_off_the_list_is_allowed(policy: Policy) -> None:
    weaker = dataclasses.replace(policy, denied_calls=tuple(name for name in policy.denied_calls if name != "ptrace"))
    code = compile_filter(weaker)
    assert run([struct.unpack_from("HBBI", code, at) for at in range(0, len(code), 8)], NUMBERS["ptrace"]) == ALLOW


def test_a_host_path_of_the_runtime_is_bound_where_cells_look(policy: Policy) -> None:
    assert "/opt/cellblock/shared" in {inside: Path(outside) for outside, inside in policy.binds}
