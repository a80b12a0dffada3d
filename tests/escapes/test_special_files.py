"""A FIFO, a socket or a device in the place of a file would hold the agent, or give it a stream without end, when a tool opened it."""

from __future__ import annotations

import pytest

from cellblock.model.calls import FileToWrite, ListFiles, ReadFiles, RemoveFiles, ToolFailed, WriteFiles
from cells import MIB, BenchCell

KINDS = {
    "pipe": "os.mkfifo('place')",
    "socket": "socket.socket(socket.AF_UNIX).bind('place')",
    "terminal": "os.symlink('/dev/pts/ptmx', 'place')",
    "endless device": "os.symlink('/dev/zero', 'place')",
    "waiting device": "os.symlink('/dev/tty', 'place')",
    "link to itself": "os.symlink('place', 'place')",
    "directory": "os.mkdir('place')",
}
NEVER_READ = ("bad_path", "not_regular", "denied")
HANGS = "os.mkfifo('place'); signal.alarm(1); open('place')"
SPARSE = "os.truncate(os.open('place', os.O_CREAT | os.O_RDWR), 32 << 20); print(os.stat('place').st_blocks)"
GROWS = "while :; do head --bytes 100000 /dev/zero >> place; truncate --size 0 place; done"


def test_to_open_one_would_wait(cell: BenchCell) -> None:
    assert cell.run(f"import os, signal\nsignal.signal(signal.SIGALRM, signal.SIG_DFL); {HANGS}").outcome == "killed"


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_it_is_neither_read_nor_waited_for(cell: BenchCell, make: str) -> None:
    cell.probe(make)
    file = cell.call(ReadFiles(paths=("place",), limit_bytes=MIB)).files[0]
    assert file.data is None
    assert file.error in NEVER_READ
    assert cell.shell("echo alive") == "alive"


@pytest.mark.parametrize(("kind", "make"), [(kind, make) for kind, make in KINDS.items() if kind != "directory"])
def test_to_write_puts_a_file_in_its_place(cell: BenchCell, kind: str, make: str) -> None:
    cell.probe(make)
    cell.call(WriteFiles((FileToWrite("place", b"mine"),)))
    assert cell.probe("print(os.path.isfile('place') and not os.path.islink('place'), open('place').read())") == "True mine"


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_below_it_nothing_can_be_written(cell: BenchCell, make: str) -> None:
    if "mkdir" in make:
        make += "; os.rmdir('place'); os.mkfifo('place')"
    cell.probe(make)
    with pytest.raises(ToolFailed):
        cell.call(WriteFiles((FileToWrite("place/below", b"x"),)))


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_it_is_listed_and_removed_as_what_it_is(cell: BenchCell, make: str) -> None:
    cell.probe(make)
    (entry,) = cell.call(ListFiles("")).entries
    assert entry.kind == ("directory" if "mkdir" in make else "other")
    assert cell.call(RemoveFiles(("place",))).removed == 1
    assert cell.call(ListFiles("")).entries == ()


def test_a_file_that_is_larger_than_what_it_holds_is_refused_by_its_size(cell: BenchCell) -> None:
    assert cell.probe(SPARSE) == "0"
    file = cell.call(ReadFiles(paths=("place",), limit_bytes=MIB)).files[0]
    assert (file.data, file.error) == (None, "too_large")


def test_a_file_that_grows_and_shrinks_meanwhile_stays_within_its_limit(cell: BenchCell) -> None:
    growing = cell.begin_command(GROWS, timeout_seconds=2)
    for _ in range(50):
        file = cell.call(ReadFiles(paths=("place",), limit_bytes=MIB)).files[0]
        assert len(file.data or b"") <= MIB
    growing.result(30)
