"""A descriptor that the host forgot to close would open the host's files, or the link on which the host takes a cell's word."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cells import BenchCell, on_host
from processes import descendants

OPEN_DIRECTORIES = """
import stat
for number in range(3, 1024):
    try:
        if stat.S_ISDIR(os.fstat(number).st_mode):
            print(open(f"/proc/self/fd/{number}/secret").read())
    except OSError:
        pass
"""
KINDS = "import os\nfor n in range(64):\n    try: print(n, os.readlink(f'/proc/self/fd/{n}').partition(':')[0])\n    except OSError: pass"
TAKE = """
child = os.fork()
if child == 0:
    signal.pause()
print(call(438, os.pidfd_open({pid}), 0, 0))
os.kill(child, 9)
"""


def sockets_of(pid: int) -> set[str]:
    names = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return {name for name in names if name.startswith("socket:")}


def test_an_inherited_directory_opens_the_hosts_files_and_no_cell_has_one(cell: BenchCell, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        assert on_host(OPEN_DIRECTORIES, pass_fds=(descriptor,)) == "of the host"
    finally:
        os.close(descriptor)
    assert cell.probe(OPEN_DIRECTORIES) == ""


def test_a_command_has_its_standard_streams_and_nothing_else(cell: BenchCell) -> None:
    assert cell.shell(f'python3 -c "{KINDS}"') == "0 /dev/null\n1 pipe\n2 pipe"


def test_a_program_started_by_python_has_no_socket(cell: BenchCell) -> None:
    assert "socket" not in cell.probe(f"print(subprocess.run(['python3', '-c', {KINDS!r}], capture_output=True, close_fds=False).stdout)")


@pytest.mark.root
def test_no_process_but_the_first_holds_the_link_to_the_host(cell: BenchCell) -> None:
    link = sockets_of(cell.pid)
    assert link
    cell.run("None")  # a kernel that still gets ready has not closed them yet, and runs nobody's code
    for child in descendants(cell.pid):
        assert not sockets_of(child) & link


def test_descriptors_of_other_processes_cannot_be_taken(cell: BenchCell, unfiltered: BenchCell) -> None:
    assert unfiltered.probe(TAKE.format(pid="child")) == "done"
    assert cell.probe(TAKE.format(pid="child")) == "EPERM"


def test_those_of_the_first_process_are_closed_even_without_the_filter(cell: BenchCell, unfiltered: BenchCell) -> None:
    assert unfiltered.probe(TAKE.format(pid=1)) == "EPERM"
    assert cell.probe(TAKE.format(pid=1)) == "EPERM"
