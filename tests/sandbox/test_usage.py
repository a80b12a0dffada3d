"""What a cell has used, by the host's figures: the time of children and of processes that have ended counts, sleep does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cellblock.calls import CellUsage
from cellblock.runtime import Runtime
from cells import MIB, Bench, BenchCell, bench_settings

BURN = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass"


@pytest.fixture(scope="module", params=["v2", "v1", "none"])
def measured(request: pytest.FixtureRequest, built_runtime: Runtime) -> Iterator[Bench]:
    bench = Bench(bench_settings(cgroup="none" if request.param == "none" else "auto"), built_runtime)
    try:
        if bench.node.group_kind != request.param:
            pytest.skip(f"this host has no cgroup {request.param} controllers that this user may write, or stronger ones")
        yield bench
    finally:
        bench.close()


def usage(cell: BenchCell) -> CellUsage:
    found = cell.usage()
    assert found is not None
    return found


def test_cpu_time_of_the_kernel_counts_and_sleep_does_not(measured: Bench) -> None:
    with measured.cell() as cell:
        before = usage(cell).cpu_seconds
        cell.run(BURN.format(seconds=0.5))
        after = usage(cell).cpu_seconds
        assert 0.5 <= after - before < 1.0
        cell.run("import time; time.sleep(1)")
        assert usage(cell).cpu_seconds - after < 0.4


def test_cpu_time_of_a_child_that_has_ended_counts(measured: Bench) -> None:
    with measured.cell() as cell:
        before = usage(cell).cpu_seconds
        cell.command(f"python -c '{BURN.format(seconds=0.5)}'")
        assert usage(cell).cpu_seconds - before >= 0.5


def test_memory_and_processes_of_this_moment_are_told(measured: Bench) -> None:
    with measured.cell(memory_bytes=512 * MIB) as cell:
        before = usage(cell)
        cell.run("import subprocess; data = bytearray(b'x') * (100 << 20); child = subprocess.Popen(['sleep', '100'])")
        after = usage(cell)
        assert 90 * MIB < after.memory_bytes - before.memory_bytes < 200 * MIB
        assert after.process_count == before.process_count + 1


def test_cell_that_was_closed_has_no_figures(measured: Bench) -> None:
    with measured.cell() as cell:
        pass
    assert cell.usage() is None
