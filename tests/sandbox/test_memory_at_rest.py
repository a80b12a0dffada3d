"""What a session that nothing happens in gives back of its memory, and that it is the same session afterwards."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cellblock.runtime.builds import Runtime
from cellblock.settings import table
from cellblock_cell.pages import own_pages, writable_areas
from cells import Bench, BenchCell
from processes import descendants, status_of
from running_server import until

REST_SECONDS = 0.2
pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="needs an x86_64 processor: memory is given back on no other")

PANDAS = (
    "import pandas as pd; frame = pd.DataFrame({'k': list('abab') * 500, 'v': range(2000)}); print(frame.groupby('k').v.sum().to_dict())"
)
BUILD = """
import hashlib, numpy, random
chance = random.Random(3)
things = [{"number": number, "text": "x" * (number % 97), "parts": [number, (number,), {number}]} for number in range(20000)]
grid = numpy.arange(500_000.0).reshape(500, 1000)
def digest():
    text = repr(things).encode() + grid.tobytes() + repr(frame.describe()).encode()
    return hashlib.sha256(text).hexdigest()
"""
CHANGE = """
for number in chance.sample(range(len(things)), 500):
    things[number]["parts"].append("y" * number)
del things[100:200], things[-50:]
grid[chance.randrange(500)] += 1
frame = frame.sample(frac=0.99, random_state=1)
print(digest())
"""
REFERENCE = "print({one!r} == digest())"


@pytest.fixture(scope="module")
def bench(built_runtime: Runtime) -> Iterator[Bench]:
    """A node whose cells rest soon."""
    with closing(Bench(dataclasses.replace(table.load(), rest_seconds=REST_SECONDS), built_runtime)) as made:
        yield made


def kernel_of(cell: BenchCell) -> int:
    """The process of its Python code."""
    (kernel,) = descendants(cell.pid)
    return kernel


def given_back(pid: int) -> int:
    """In how many places the process has memory of the likeness; one is where all processes have it to compare."""
    return len(re.findall("/memfd:cellblock-likeness", Path(f"/proc/{pid}/maps").read_text()))


def rest(bench: Bench) -> None:
    """Wait until a session whose call came later has been at rest."""
    with bench.cell() as later:
        later.run("print(1)")
        until(lambda: given_back(kernel_of(later)) > 1)


def own_count(pid: int) -> int:
    """How many pages the process has that it wrote to and no other has."""
    process = Path(f"/proc/{pid}")
    return sum(len(own_pages(process, area)) for area in writable_areas((process / "maps").read_text()))


def host_figure(cell: BenchCell) -> int:
    """What usage and limits are reckoned by."""
    found = cell.memory()
    assert found is not None
    return found.now_bytes


def test_a_kernel_at_rest_gives_back_most_of_its_own_memory(cell: BenchCell) -> None:
    cell.run(PANDAS)
    kernel = kernel_of(cell)
    before, counted = own_count(kernel), host_figure(cell)
    until(lambda: own_count(kernel) < 0.7 * before)
    assert given_back(kernel) > 1
    until(lambda: host_figure(cell) < counted)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: an agent's memory is closed to its own user")
def test_an_agent_at_rest_gives_back_a_part_of_its_own_memory(cell: BenchCell) -> None:
    cell.run(PANDAS)
    before = own_count(cell.pid)
    until(lambda: own_count(cell.pid) < 0.85 * before)
    assert given_back(cell.pid) > 1


def test_a_session_is_the_same_after_each_rest(bench: Bench, cell: BenchCell) -> None:
    cell.run(PANDAS)
    cell.run(BUILD)
    for _ in range(3):
        digest = cell.probe(CHANGE)
        rest(bench)
        assert cell.probe(REFERENCE.format(one=digest)) == "True"
    assert cell.probe("import threading; t = threading.Thread(target=print, args=('alive',)); t.start(); t.join()") == "alive"
    assert cell.shell("echo alive") == "alive"
    assert given_back(kernel_of(cell)) > 1


def switches(pid: int) -> tuple[str, str]:
    """How often the process gave up a processor, or lost it: who sleeps does neither (proc_pid_status(5))."""
    status = status_of(pid)
    return status["voluntary_ctxt_switches"], status["nonvoluntary_ctxt_switches"]


def test_a_session_at_rest_sleeps_until_somebody_calls(bench: Bench, cell: BenchCell) -> None:
    cell.run(PANDAS)
    rest(bench)
    kernel = kernel_of(cell)
    assert given_back(kernel) > 1
    before = [switches(pid) for pid in (cell.pid, kernel)]
    for _ in range(2):
        rest(bench)
    assert [switches(pid) for pid in (cell.pid, kernel)] == before
    assert cell.probe("print(len(frame))") == "2000"
    assert all(switches(pid) != one for pid, one in zip((cell.pid, kernel), before, strict=True))


def test_a_session_that_waits_for_its_first_call_keeps_its_memory(bench: Bench) -> None:
    with bench.cell() as waiting:
        rest(bench)
        assert given_back(kernel_of(waiting)) == 1


def test_a_kernel_with_a_thread_is_left_alone(bench: Bench) -> None:
    with bench.cell() as threaded:
        threaded.run("import threading; ended = threading.Event(); thread = threading.Thread(target=ended.wait); thread.start()")
        rest(bench)
        assert given_back(kernel_of(threaded)) == 1
        threaded.run("ended.set(); thread.join()")
        until(lambda: given_back(kernel_of(threaded)) > 1)
