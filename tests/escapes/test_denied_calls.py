"""The deny list, number by number, as the kernel answers it by each of its doors: the native one, x32's and that of 32-bit programs."""

from __future__ import annotations

import json
import platform

import pyseccomp
import pytest

from cellblock.sandbox.policy import ABSENT, DENIED, NEWEST_REVIEWED
from cells import BenchCell

NEWER_THAN_SOME_LIBRARIES = {  # these numbers are the same on all architectures
    "quotactl_fd": 443,
    "memfd_secret": 447,
    "set_mempolicy_home_node": 450,
    "statmount": 457,
    "listmount": 458,
    "open_tree_attr": 467,
    "listns": 470,
}
X32 = 0x40000000
EPERM, ENOSYS = 1, 38
OLD_DOOR_NUMBERS = {"getpid": 20, "ptrace": 26, "mount": 21, "socketcall": 102, "unshare": 310, "keyctl": 288, "bpf": 357, "clone3": 435}
# Every call is made by a child of its own and with arguments that do nothing: it may end the caller where nothing forbids it.
ASK = """
import json, select
def answer(number, call):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        result = call(number)
        os.write(writer, str(result).encode())
        os._exit(0)
    os.close(writer)
    ready = select.select([reader], [], [], 5)[0]
    told = os.read(reader, 100) if ready else b"silent"
    os.kill(child, 9)
    os.waitpid(child, 0)
    os.close(reader)
    return told.decode() or "killed"

def native(number):
    return ctypes.get_errno() if libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6) == -1 else 0
"""
BY_THE_OLD_DOOR = """
import mmap
# push rbx; mov eax, edi; mov ebx, -1; mov ecx, ebx; mov edx, ebx; mov esi, ebx; mov edi, ebx; int 0x80; pop rbx; ret
code = bytes.fromhex("53 89f8 bbffffffff 89d9 89da 89de 89df cd80 5b c3")
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(code)
enter = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
def old(number):
    return -min(enter(number), 0)
"""
TABLE = "print(json.dumps({{number: answer(number, {door}) for number in {numbers}}}))"

on_x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86_64 processor: others have one door")


def numbers(names: tuple[str, ...]) -> dict[str, int]:
    """Those that this architecture has."""
    found = {name: NEWER_THAN_SOME_LIBRARIES.get(name) or pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) for name in names}
    return {name: number for name, number in found.items() if isinstance(number, int) and number >= 0}


def answers(cell: BenchCell, asked: list[int], *, door: str = "native") -> dict[int, str]:
    printed = cell.probe(ASK + (BY_THE_OLD_DOOR if door == "old" else "") + TABLE.format(door=door, numbers=asked))
    return {int(number): answer for number, answer in json.loads(printed).items()}


def test_the_numbers_are_those_of_the_list() -> None:
    assert len(numbers(DENIED)) >= 70
    assert numbers(ABSENT) == {"clone3": 435}


def test_every_denied_call_is_refused(cell: BenchCell) -> None:
    asked = numbers(DENIED)
    found = answers(cell, list(asked.values()))
    wrong = {name: found[number] for name, number in asked.items() if found[number] not in (str(EPERM), str(ENOSYS))}
    assert wrong == {}
    assert {name for name, number in asked.items() if found[number] == str(ENOSYS)} <= {
        name for name, number in asked.items() if number > NEWEST_REVIEWED
    }


def test_without_the_filter_most_of_them_are_not(unfiltered: BenchCell) -> None:
    harmless = numbers(
        ("add_key", "keyctl", "ptrace", "mbind", "bpf", "setns", "io_uring_setup", "fspick", "move_mount", "process_vm_readv")
    )
    found = answers(unfiltered, list(harmless.values()))
    assert any(found[number] not in (str(EPERM), str(ENOSYS)) for number in harmless.values()), found
    assert found[harmless["ptrace"]] not in (str(EPERM), str(ENOSYS))


def test_calls_that_must_be_absent_are(cell: BenchCell) -> None:
    beyond = range(NEWEST_REVIEWED + 1, NEWEST_REVIEWED + 60)
    assert set(answers(cell, [*numbers(ABSENT).values(), *beyond]).values()) == {str(ENOSYS)}


@on_x86_64
def test_no_call_has_a_second_entrance_by_x32(cell: BenchCell) -> None:
    asked = [X32 | number for number in (*numbers(DENIED).values(), *range(512, 548), 0, 39)]
    assert set(answers(cell, asked).values()) == {str(ENOSYS)}


@on_x86_64
def test_no_call_has_a_second_entrance_by_32_bit_programs(cell: BenchCell, unfiltered: BenchCell) -> None:
    asked = list(OLD_DOOR_NUMBERS.values())
    without = answers(unfiltered, asked, door="old")
    if without[OLD_DOOR_NUMBERS["getpid"]] in ("killed", str(ENOSYS)):
        pytest.skip("needs a kernel that runs 32-bit programs (CONFIG_IA32_EMULATION)")
    assert without[OLD_DOOR_NUMBERS["getpid"]] == "0"
    assert set(answers(cell, [*asked, *range(450)], door="old").values()) == {str(ENOSYS)}
