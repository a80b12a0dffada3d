"""The file of memory that sessions have in common: what one session does to it, no other sees. How it is sealed: tests/cell."""

from __future__ import annotations

import os

import pytest

from cells import Bench, BenchCell, on_host

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="needs an x86_64 processor: memory is given back on no other")

FIND = """
lines = [line.split() for line in open('/proc/self/maps') if '/memfd:cellblock-likeness' in line]
span, rights = lines[0][:2]
start, end = (int(bound, 16) for bound in span.split('-'))
"""
WRITE = FIND + "ctypes.memset(start, 88, 4096); print(ctypes.string_at(start, 8) == b'X' * 8)"
SEE = FIND + "print(ctypes.string_at(start, 8))"
OPEN = FIND + "print(attempt(open, f'/proc/self/map_files/{span}', 'r+b'))"
SHARED = """
import mmap
file = os.memfd_create("file")
os.ftruncate(file, 4096)
memory = mmap.mmap(file, 4096)
if os.fork() == 0:
    memory[:3] = b"XXX"
    os._exit(0)
os.wait()
print(memory[:3])
"""


def test_what_is_written_over_it_stays_in_its_session(strong: Bench) -> None:
    assert on_host(SHARED) == "b'XXX'"  # what a mapping that is not private would give
    with strong.cell() as one, strong.cell() as other:
        before = other.probe(SEE)
        assert one.probe(WRITE) == "True"
        assert other.probe(SEE) == before != one.probe(SEE)
    with strong.cell() as later:
        assert later.probe(SEE) == before


def test_no_process_holds_a_descriptor_of_it_or_opens_it_by_its_mapping(cell: BenchCell) -> None:
    assert (
        cell.probe("print([name for name in os.listdir('/proc/self/fd') if 'memfd' in os.path.realpath(f'/proc/self/fd/{name}')])") == "[]"
    )
    assert cell.probe(OPEN) in ("EPERM", "EACCES", "ENOENT")


def test_it_is_mapped_privately(cell: BenchCell) -> None:
    assert cell.probe(FIND + "print({line[1] for line in lines})") == "{'rw-p'}"
