"""What a cell has used, by the host's figures: the time of children and of processes that have ended counts, sleep does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cellblock.errors import CellEnded
from cellblock.model.calls import CellUsage, RunCommand
from cellblock.runtime.builds import Runtime
from cells import MIB, Bench, BenchCell, limited_by
from running_server import until

BURN = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass"

COUNTED = ("v2", "v1")  # by the kernel, not by samples


@pytest.fixture(scope="module", params=[*COUNTED, "none"])
def measured(request: pytest.FixtureRequest, built_runtime: Runtime) -> Iterator[Bench]:
    with limited_by(request.param, built_runtime) as bench:
        yield bench


def usage(cell: BenchCell) -> CellUsage:
    found = cell.usage()
    assert found is not None
    return found


def test_cpu_time_of_the_kernel_counts_and_sleep_does_not(measured: Bench) -> None:
    with measured.cell() as cell:
        before = usage(cell).cpu_seconds
        cell.run(BURN.format(seconds=0.5))
        after = usage(cell).cpu_seconds
        assert 0.46 <= after - before < 1.0  # samples are counted in hundredths, some of them lost
        cell.run("import time; time.sleep(1)")
        assert usage(cell).cpu_seconds - after < 0.4


def test_cpu_time_of_a_child_that_has_ended_counts(measured: Bench) -> None:
    with measured.cell() as cell:
        before = usage(cell).cpu_seconds
        cell.command(f"python -c '{BURN.format(seconds=0.5)}'")
        assert usage(cell).cpu_seconds - before >= 0.46


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


def own_figure(pid: int) -> float:
    """CPU seconds in the control group of a process, read by its path; where there is none, the sum that /proc gives."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        usage, stat = (Path(root + path) for root in ("/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup"))
        if "cpuacct" in controllers.split(","):
            return int((usage / "cpuacct.usage").read_text()) / 1e9
        if not controllers and "/cellblock-" in path:
            return int((stat.parent / "cpu.stat").read_text().split()[1]) / 1e6
    raise AssertionError("no control group counts CPU time")


@pytest.mark.parametrize("measured", COUNTED, indirect=True)
def test_metered_cpu_time_is_the_control_groups_own(measured: Bench) -> None:
    with measured.cell() as cell:
        cell.run(BURN.format(seconds=0.2))
        before, metered, after = own_figure(cell.pid), cell.cpu_seconds(), own_figure(cell.pid)
        assert 0.2 < before <= metered <= after


def test_metered_cpu_time_has_what_was_used_until_the_end(measured: Bench) -> None:
    with measured.cell() as cell:
        running = cell.begin(RunCommand(command="while true; do :; done", timeout_seconds=60, output_bytes=1000))
        before = cell.cpu_seconds()
        until(lambda: cell.cpu_seconds() >= before + 0.2)
        cell.close()
        with pytest.raises(CellEnded):
            running.result()
        assert cell.cpu_seconds() >= before + 0.2
        assert cell.cpu_seconds() == cell.cpu_seconds()


@pytest.mark.parametrize("measured", COUNTED, indirect=True)
def test_memory_knows_the_peak_that_is_over(measured: Bench) -> None:
    with measured.cell() as cell:
        cell.run("block = b'x' * (200 << 20); del block")
        memory = cell.memory()
        assert memory is not None
        assert memory.now_bytes < 150 * MIB
        assert memory.peak_bytes >= 200 * MIB
