"""Processes of the host and of other sessions tell, by their names and arguments alone, more than a cell may know."""

from __future__ import annotations

import os

import pytest

from cells import Bench, BenchCell, on_host
from processes import descendants, host_ids

SEE = "print(os.path.exists('/proc/{pid}'))"
COUNT = "print(sum(name.isdigit() for name in os.listdir('/proc')))"


def test_processes_of_the_host_are_not_to_be_seen(cell: BenchCell) -> None:
    assert on_host(SEE.format(pid=os.getpid())) == "True"
    assert cell.probe(SEE.format(pid=os.getpid())) == "False"


def test_processes_of_another_cell_are_not_to_be_seen(strong: Bench, cell: BenchCell) -> None:
    with strong.cell() as other:
        other.probe("child = os.fork()\nif child == 0: signal.pause()\nprint(child)")
        assert int(other.probe(COUNT)) == int(cell.probe(COUNT)) + 1


def test_the_first_process_is_the_cells_agent(cell: BenchCell) -> None:
    assert cell.probe("print(os.getppid(), os.path.exists('/proc/1'))") == "1 True"


@pytest.mark.root
def test_every_live_cell_has_a_host_id_of_its_own_that_is_not_root(strong: Bench) -> None:
    with strong.cell() as first, strong.cell() as second:
        ids = [set().union(*(host_ids(pid) for pid in (cell.pid, *descendants(cell.pid)))) for cell in (first, second)]
    assert [len(found) for found in ids] == [1, 1]
    assert not ids[0] & ids[1]
    assert 0 not in ids[0] | ids[1]
    assert os.geteuid() not in ids[0] | ids[1]


@pytest.mark.root
def test_a_cell_has_no_group_of_the_host(cell: BenchCell) -> None:
    with open(f"/proc/{cell.pid}/status", encoding="ascii") as status:
        lines = dict(line.split(":", 1) for line in status)
    assert lines["Groups"].split() == []
    assert "0" not in lines["Gid"].split()


@pytest.mark.root
def test_a_cell_is_nobody_to_files_of_the_host(cell: BenchCell) -> None:
    assert cell.probe("print(*{os.stat(path).st_uid for path in ('/usr/bin/env', '/', '/etc/passwd', '/usr')})") == "65534"
