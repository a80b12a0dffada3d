"""The file tools run in the agent: a link or a race that led it out of the workspace would read what the code itself cannot."""

from __future__ import annotations

import pytest

from cellblock.model.calls import FileToWrite, ListFiles, ReadFiles, RemoveFiles, ToolFailed, WriteFiles
from cells import MIB, BenchCell

LINKS = {
    "to the environment of the agent": "/proc/self/environ",
    "to the memory of the agent": "/proc/self/maps",
    "to a descriptor": "/proc/self/fd/0",
    "to a file of the system": "/etc/passwd",
    "upwards": "../etc/passwd",
}
OUTSIDE = ("../etc/passwd", "/etc/passwd", "/proc/self/environ", "a/../../etc/passwd", "..", "/workspace/../etc/passwd", "/workspacetwo/x")
SWAP = """
mkdir -p /tmp/outside inside; echo secret > /tmp/outside/file; echo public > inside/file
python3 - <<'END' >/dev/null 2>&1 &
import os
os.symlink("/tmp/outside", "link")
while True:
    os.rename("inside", "hidden"); os.rename("link", "inside"); os.rename("inside", "link"); os.rename("hidden", "inside")
END
echo $!
"""


def read(cell: BenchCell, path: str) -> tuple[bytes | None, str]:
    file = cell.call(ReadFiles(paths=(path,), limit_bytes=MIB)).files[0]
    return None if file.data is None else bytes(file.data), file.error


@pytest.mark.parametrize("target", LINKS.values(), ids=LINKS)
def test_a_link_does_not_lead_the_tools_out(cell: BenchCell, target: str) -> None:
    cell.command(f"ln -s {target} link; ln -s / root")
    assert cell.command("cat link").exit_code == 0
    assert read(cell, "link") == (None, "bad_path")
    assert read(cell, "root/etc/passwd") == (None, "bad_path")


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_does_not_lead_the_tools_out(cell: BenchCell, path: str) -> None:
    cell.command("mkdir a")
    assert cell.command(f"test -e {path} -o {path} = /workspacetwo/x").exit_code == 0
    assert read(cell, path)[0] is None
    with pytest.raises(ToolFailed):
        cell.call(WriteFiles((FileToWrite(path, b"x"),)))
    assert cell.call(RemoveFiles((path,))).removed == 0


def test_writing_through_a_link_changes_nothing_outside(cell: BenchCell) -> None:
    cell.command("mkdir /tmp/outside; ln -s /tmp/outside link; ln -s /tmp/outside/file direct")
    with pytest.raises(ToolFailed):
        cell.call(WriteFiles((FileToWrite("link/file", b"x"),)))
    cell.call(WriteFiles((FileToWrite("direct", b"x"),)))
    assert cell.command("test -e /tmp/outside/file").exit_code == 1


def test_removing_a_link_leaves_what_it_names(cell: BenchCell) -> None:
    cell.command("mkdir /tmp/outside; touch /tmp/outside/file; mkdir d; ln -s /tmp/outside d/link; ln -s /tmp/outside link")
    cell.call(RemoveFiles(("link", "d")))
    assert cell.shell("ls /tmp/outside; ls") == "file"


def test_listing_a_link_that_leads_out_is_refused(cell: BenchCell) -> None:
    cell.command("ln -s /etc link")
    assert "passwd" in cell.shell("ls link/")
    with pytest.raises(ToolFailed):
        cell.call(ListFiles("link"))


def test_a_directory_exchanged_for_a_link_meanwhile_does_not_lead_out(cell: BenchCell) -> None:
    cell.command(SWAP)
    contents = {read(cell, "inside/file")[0] for _ in range(300)}
    for number in range(100):
        try:
            cell.call(WriteFiles((FileToWrite(f"inside/{number}", b"x"),)))
        except ToolFailed:
            continue
    assert contents <= {b"public\n", None}
    assert cell.shell("ls /tmp/outside") == "file"


def test_a_pipe_does_not_keep_the_agent_waiting(cell: BenchCell) -> None:
    cell.command("mkfifo pipe; ln -s /dev/zero zero")
    assert read(cell, "pipe") == (None, "not_regular")
    assert read(cell, "zero") == (None, "bad_path")
    assert cell.shell("echo alive") == "alive"
