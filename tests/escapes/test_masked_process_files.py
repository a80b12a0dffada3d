"""Parts of /proc tell where the kernel lies in memory, which keys exist, and what other users' devices do."""

from __future__ import annotations

from cellblock.sandbox.policy import MASKED_DIRECTORIES, MASKED_FILES
from cells import BenchCell, Weakened

READABLE = f"""
def size(path):
    try:
        return len(open(path, "rb").read(4096))
    except OSError:
        return 0
print(*(path for path in {MASKED_FILES!r} if size(path)))
"""
LISTED = f"print(*(path for path in {MASKED_DIRECTORIES!r} if os.path.isdir(path) and os.listdir(path)))"
REAL = f"""
files = (path for path in {MASKED_FILES!r} if os.path.exists(path))
print(*(path for path in files if not os.path.samefile(path, "/dev/null")))
"""


def test_masked_files_are_empty(cell: BenchCell, weakened: Weakened) -> None:
    with weakened(masked_files=()).cell() as weak:
        assert {"/proc/kallsyms", "/proc/interrupts"} <= set(weak.probe(READABLE).split())
    assert cell.probe(READABLE) == ""


def test_masked_directories_are_empty(cell: BenchCell, weakened: Weakened) -> None:
    with weakened(masked_directories=()).cell() as weak:
        assert "/proc/irq" in weak.probe(LISTED).split()
    assert cell.probe(LISTED) == ""


def test_every_masked_file_is_the_null_device_for_readers_and_writers(cell: BenchCell, weakened: Weakened) -> None:
    with weakened(masked_files=()).cell() as weak:
        assert "/proc/kallsyms" in weak.probe(REAL).split()
    assert cell.probe(REAL) == ""
