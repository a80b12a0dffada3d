"""Between a tool's look and its act the code may exchange what is there: for a link that leads out, a FIFO, or another file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cellblock.model.calls import FileToWrite, ListFiles, ReadFiles, RemoveFiles, ToolFailed, WriteFiles
from cells import MIB, BenchCell

# directories and files that take turns with links to what lies outside; the loop ends with the cell
EXCHANGE = """
mkdir -p /tmp/outside/deep inside/deep
for i in $(seq 50); do echo secret > /tmp/outside/deep/$i; echo public > inside/deep/$i; done
python3 - <<'END' >/dev/null 2>&1 &
import os
os.symlink("/tmp/outside", "link")
while True:
    for old, new in (("inside", "hidden"), ("link", "inside"), ("inside", "link"), ("hidden", "inside")):
        try:
            os.rename(old, new)
        except OSError:
            pass
END
"""
EXCHANGE_TEMPORARIES = """
mkdir -p target; echo secret > /tmp/victim
python3 - <<'END' >/dev/null 2>&1 &
import os
while True:
    for name in os.listdir("target"):
        if name.endswith(".part"):
            try:
                os.unlink(f"target/{name}"); os.symlink("/tmp/victim", f"target/{name}")
            except OSError:
                pass
END
"""
FOLLOWED = "print(len(os.listdir('inside')), open('inside/deep/1').read().strip())"


@pytest.fixture
def racing(cell: BenchCell) -> Iterator[BenchCell]:
    """A cell in which `inside` is now a directory and now a link to /tmp/outside."""
    cell.command(EXCHANGE)
    yield cell
    assert cell.shell("ls /tmp/outside/deep | wc -l; cat /tmp/outside/deep/1") == "50\nsecret"


def test_code_that_opens_by_name_is_led_out(cell: BenchCell) -> None:
    cell.command("mkdir -p /tmp/outside/deep; echo secret > /tmp/outside/deep/1; ln -s /tmp/outside inside")
    assert cell.probe(FOLLOWED) == "1 secret"


def test_removing_a_tree_leaves_what_a_link_names(racing: BenchCell) -> None:
    for _ in range(60):
        racing.call(RemoveFiles(("inside/deep/1", "inside/deep", "inside")))
        racing.command("mkdir -p inside/deep && touch inside/deep/1; true")


def test_listing_shows_nothing_from_outside(racing: BenchCell) -> None:
    racing.command("touch /tmp/outside/deep/marked")
    seen: set[str] = set()
    for _ in range(200):
        try:
            seen |= {entry.name for entry in racing.call(ListFiles("inside/deep")).entries}
        except ToolFailed:
            continue
    racing.command("rm /tmp/outside/deep/marked")
    assert "marked" not in seen


def test_writing_a_batch_puts_nothing_outside(racing: BenchCell) -> None:
    for number in range(60):
        try:
            racing.call(WriteFiles(tuple(FileToWrite(f"inside/deep/new-{number}-{i}", b"x") for i in range(5))))
        except ToolFailed:
            continue
    assert racing.shell("ls /tmp/outside/deep | grep --count new") == "0"


def test_a_temporary_file_exchanged_for_a_link_is_not_written_through(cell: BenchCell) -> None:
    cell.command(EXCHANGE_TEMPORARIES)
    data = b"x" * (2 * MIB)
    for number in range(60):
        try:
            cell.call(WriteFiles((FileToWrite(f"target/{number}", data),)))
        except ToolFailed:
            continue
    assert cell.shell("cat /tmp/victim") == "secret"
    read = [cell.call(ReadFiles(paths=(f"target/{number}",), limit_bytes=4 * MIB)).files[0].data for number in range(60)]
    contents = {None if content is None else bytes(content) for content in read}
    assert contents <= {data, None}
