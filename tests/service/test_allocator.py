"""Freed memory that the server keeps for the next large answer."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

from cellblock.machine.allocator import SEPARATE_BYTES

PAGE_BYTES = 4096
LARGE_BYTES = 24 * 1024 * 1024  # an answer with files
# The first piece of a size teaches glibc to keep such pieces, so a server without it pays twice for each that is larger than all before.
FAULTS = """
import ctypes, json, resource, sys
from cellblock.machine import allocator

PR_SET_THP_DISABLE = 41  # a huge page is one fault
ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)

def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"x" * size
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "kept":
    allocator.keep_some()
print(json.dumps([faults(int(size)) for size in sys.argv[2:]]))
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc: no other C library has mallopt(3)")


def faults(mode: str, *sizes: int) -> list[int]:
    """How many pages the kernel gave to a fresh process for one piece of each size after the other, each freed at once."""
    command = [sys.executable, "-c", FAULTS, mode, *map(str, sizes)]
    found: list[int] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)
    return found


def test_the_second_large_piece_has_the_first_ones_memory() -> None:
    whole = LARGE_BYTES // PAGE_BYTES
    _, fresh = faults("not kept", LARGE_BYTES, LARGE_BYTES)
    _, again = faults("kept", LARGE_BYTES, LARGE_BYTES)
    assert fresh > whole * 0.9
    assert again < whole * 0.1


def test_what_is_larger_is_given_back_at_once() -> None:
    size = 2 * SEPARATE_BYTES
    assert min(faults("kept", size, size)) > size // PAGE_BYTES * 0.9
