"""Reading or steering the agent would let the attacker speak for it; steering others' processes would be worse."""

from __future__ import annotations

import pytest

from cells import BenchCell, number_of, on_host

CHILD = """
child = os.fork()
if child == 0:
    signal.pause()
try:
    {}
finally:
    os.kill(child, 9)
"""
SEIZE = CHILD.format("print(word(libc.ptrace(0x4206, child, 0, 0)))")
READ_MEMORY = CHILD.format(
    """
    text = ctypes.create_string_buffer(b"here", 8)
    into = ctypes.create_string_buffer(8)
    local = struct.pack("PN", ctypes.addressof(into), 8)
    remote = struct.pack("PN", ctypes.addressof(text), 8)
    print(word(libc.process_vm_readv(child, local, 1, remote, 1, 0)))"""
)
COMPARE = CHILD.format(f"print(call({number_of('kcmp')}, os.getpid(), child, 0, 0, 0))")
SEIZE_FIRST = "print(word(libc.ptrace(0x4206, 1, 0, 0)))"
FILES_OF_FIRST = "print(*(attempt(open, f'/proc/1/{name}', 'rb') for name in ('mem', 'environ', 'maps', 'auxv')))"
PLACES_OF_FIRST = "print(*(attempt(os.stat, f'/proc/1/{name}') for name in ('fd/0', 'root', 'cwd', 'exe', 'ns/net')))"


@pytest.mark.parametrize("probe", [SEIZE, READ_MEMORY, COMPARE], ids=["ptrace", "process_vm_readv", "kcmp"])
def test_processes_cannot_be_traced(cell: BenchCell, unfiltered: BenchCell, probe: str) -> None:
    assert unfiltered.probe(probe) == "done"
    assert cell.probe(probe) == "EPERM"


def test_the_first_process_cannot_be_traced_even_without_the_filter(cell: BenchCell, unfiltered: BenchCell) -> None:
    assert on_host(SEIZE) == "done"
    assert unfiltered.probe(SEIZE_FIRST) == "EPERM"
    assert cell.probe(SEIZE_FIRST) == "EPERM"


def test_memory_and_environment_of_the_first_process_are_closed(cell: BenchCell) -> None:
    own = FILES_OF_FIRST.replace("/proc/1/", "/proc/self/")
    assert cell.probe(own) == "done done done done"
    assert set(cell.probe(FILES_OF_FIRST).split()) <= {"EACCES", "EPERM"}


def test_the_first_process_does_not_lead_to_its_files(cell: BenchCell) -> None:
    assert cell.probe(PLACES_OF_FIRST.replace("/proc/1/", "/proc/self/")) == "done done done done done"
    assert set(cell.probe(PLACES_OF_FIRST).split()) <= {"EACCES", "EPERM"}
