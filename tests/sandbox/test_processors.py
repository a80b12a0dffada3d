"""The processors that cells are bound to: spread over the host's, given back, and shown to programs as the machine's."""

from __future__ import annotations

import os

import pytest

from cellblock.sandbox.processors import Processors
from cells import Bench

SHOWN = """
import multiprocessing
print(os.cpu_count(), multiprocessing.cpu_count(), len(os.sched_getaffinity(0)), os.sysconf("SC_NPROCESSORS_CONF"))
"""
IN_PROGRAMS = """
nproc; nproc --all; lscpu --parse=cpu | grep -vc '#'
node -p 'os.availableParallelism()'
deno eval 'console.log(navigator.hardwareConcurrency)'
"""
MINE = "print(*sorted(os.sched_getaffinity(0)))"
NEEDS_TWO = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> Processors:
    """Of a server that is bound to four."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 2, 5, 7})
    return Processors()


def test_cells_have_each_its_own_while_there_are_enough(four: Processors) -> None:
    assert [four.take(1.0) for _ in range(4)] == [(1,), (2,), (5,), (7,)]


def test_more_cells_than_processors_are_spread_evenly(four: Processors) -> None:
    taken = [number for _ in range(10) for number in four.take(2.0)]
    assert {taken.count(number) for number in (1, 2, 5, 7)} == {5}


def test_what_a_cell_gave_back_is_taken_next(four: Processors) -> None:
    held = [four.take(1.0) for _ in range(4)]
    four.give_back(held[2])
    assert four.take(1.0) == held[2]


@pytest.mark.parametrize(("cpus", "count"), [(0.1, 1), (1.0, 1), (1.5, 2), (4.0, 4), (64.0, 4)])
def test_a_part_of_a_processor_is_one_and_no_cell_has_more_than_the_server(four: Processors, cpus: float, count: int) -> None:
    assert len(four.take(cpus)) == count


@NEEDS_TWO
def test_python_shows_the_quota_as_the_machines_processors(bench: Bench) -> None:
    with bench.cell(cpus=2.0) as roomy, bench.cell(cpus=0.5) as tight:
        assert roomy.probe(SHOWN) == "2 2 2 2"
        assert tight.probe(SHOWN) == "1 1 1 1"


@NEEDS_TWO
def test_programs_see_the_quota(bench: Bench) -> None:
    with bench.cell(cpus=2.0) as roomy, bench.cell(cpus=0.5) as tight:
        assert roomy.shell(IN_PROGRAMS).split() == ["2"] * 5
        assert tight.shell(IN_PROGRAMS).split() == ["1"] * 5


@NEEDS_TWO
def test_two_cells_of_a_node_are_bound_to_two_processors_and_give_them_back(bench: Bench) -> None:
    with bench.cell() as one, bench.cell() as other:
        assert one.probe(MINE) != other.probe(MINE)
        first = other.probe(MINE)
    with bench.cell() as again, bench.cell() as later:
        assert {again.probe(MINE), later.probe(MINE)} >= {first}


def test_of_sys_there_is_the_count_of_processors_and_nothing_else(bench: Bench) -> None:
    with bench.cell() as cell:
        assert cell.shell("find /sys -type f") == "/sys/devices/system/cpu/online"
        assert "Read-only" in cell.command("echo 0-63 > /sys/devices/system/cpu/online").stderr.decode()
