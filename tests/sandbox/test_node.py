"""A node: cells open, end and are replaced, whoever kills what, and nothing of them is left."""

from __future__ import annotations

import asyncio
import os
import signal
from concurrent.futures import Future
from pathlib import Path

import pytest

from cellblock.errors import CellDied, CellEnded, HostNotReady
from cellblock.model.calls import Run
from cellblock.nodes.local import LocalCell
from cellblock.runtime.builds import Runtime
from cells import LIMITS, Bench, bench_settings, wait_gone, weaker_policy
from left_behind import held
from processes import children, descendants

ORPHAN = "setsid --fork sleep 1000 >/dev/null 2>&1; echo $$"
BROKEN = {
    "fence_files": {"writable": ("/absent",)},
    "mount_process_files": {"read_only": ("/proc/absent",)},
    "/absent": {"binds": (("/absent", "/absent"),)},
}


@pytest.fixture
def own(built_runtime: Runtime) -> Bench:
    """A node that the test may break; it closes it."""
    return Bench(bench_settings(), built_runtime)


def template_of(bench: Bench) -> int:
    pid = bench.node.template_pid
    assert pid is not None
    return pid


def test_the_template_forks_with_one_thread_and_its_variables_for_that_stay_outside(bench: Bench) -> None:
    threads = [(task / "comm").read_text().strip() for task in Path(f"/proc/{template_of(bench)}/task").iterdir()]
    assert len(threads) == 1, threads
    assert "JE_ARROW" not in bench.open().shell("env")


def test_nothing_is_left_of_a_node_and_its_cells(built_runtime: Runtime) -> None:
    before = held()
    bench = Bench(bench_settings(), built_runtime)
    cells = [bench.open() for _ in range(4)]
    for cell in cells:
        cell.shell(ORPHAN)
    cells[0].close()
    bench.close()
    assert held() == before


def test_nothing_is_left_of_a_closed_cell(bench: Bench) -> None:
    before = held()
    for _ in range(3):
        cell = bench.open()
        cell.shell(ORPHAN)
        inside = descendants(cell.pid)
        assert len(inside) >= 2
        cell.close()
        assert not inside & descendants(template_of(bench))
    assert held() == before


def test_a_cell_is_closed_once_and_for_all(bench: Bench) -> None:
    cell = bench.open()
    cell.close()
    cell.close()
    assert cell.wait_ended() == "it was closed"
    with pytest.raises(CellEnded, match="closed"):
        cell.command("true")


@pytest.mark.parametrize("step", [name for name in BROKEN if name != "/absent"])
def test_a_step_that_fails_is_named_and_leaves_nothing(built_runtime: Runtime, step: str) -> None:
    before = held()
    bench = Bench(bench_settings(), built_runtime, weaker_policy(built_runtime, **BROKEN[step]))
    try:
        running = held()
        for _ in range(3):
            with pytest.raises(HostNotReady, match=step):
                bench.open()
        assert held() == running
    finally:
        bench.close()
    assert held() == before


def test_a_host_that_lets_no_code_run_is_found_out_by_the_first_cell(built_runtime: Runtime) -> None:
    before = held()
    bench = Bench(bench_settings(), built_runtime, weaker_policy(built_runtime, denied_calls=("setsid",)))
    try:
        with pytest.raises(HostNotReady, match="cannot run code: The kernel ended"):
            bench.open()
    finally:
        bench.close()
    assert held() == before


def test_a_root_that_cannot_be_built_is_named_and_leaves_nothing(built_runtime: Runtime) -> None:
    before = held()
    policy = weaker_policy(built_runtime)
    with pytest.raises(HostNotReady, match="/absent"):
        Bench(bench_settings(), built_runtime, weaker_policy(built_runtime, binds=(*policy.binds, *BROKEN["/absent"]["binds"])))
    assert held() == before


def test_an_opening_that_is_given_up_leaves_nothing(bench: Bench) -> None:
    before = held()

    async def open_and_give_up(steps: int) -> None:
        opening = asyncio.ensure_future(bench.node.open_cell(LIMITS))
        await asyncio.wait({opening}, timeout=steps / 500)
        opening.cancel()
        if not isinstance(result := (await asyncio.gather(opening, return_exceptions=True))[0], BaseException):
            await result.close()

    for steps in range(20):
        bench.wait(open_and_give_up(steps))
    assert held() == before


def test_live_cells_go_on_when_the_template_is_killed_and_the_next_has_a_new_one(own: Bench) -> None:
    try:
        cell = own.open()
        first = template_of(own)
        os.kill(first, signal.SIGKILL)
        with own.cell() as later:
            assert later.shell("echo later") == "later"
        assert cell.shell("echo alive") == "alive"
        assert cell.probe("print('alive')") == "alive"
        assert template_of(own) != first
    finally:
        own.close()


def test_a_template_killed_while_it_makes_cells_leaves_nothing(built_runtime: Runtime) -> None:
    before = held()
    bench = Bench(bench_settings(), built_runtime)

    async def kill_while_opening(seconds: float) -> None:
        opening = [asyncio.ensure_future(bench.node.open_cell(LIMITS)) for _ in range(4)]
        await asyncio.wait(opening, timeout=seconds)
        os.kill(template_of(bench), signal.SIGKILL)
        for cell in await asyncio.gather(*opening, return_exceptions=True):
            assert not isinstance(cell, BaseException) or isinstance(cell, HostNotReady)
            if not isinstance(cell, BaseException):
                await cell.close()

    for milliseconds in (0, 4, 10):
        bench.wait(kill_while_opening(milliseconds / 1000))
    bench.close()
    assert held() == before


def test_a_cell_killed_while_it_starts_has_died_and_leaves_nothing(bench: Bench) -> None:
    before = held()
    template = template_of(bench)

    async def kill_while_opening() -> BaseException | LocalCell:
        known = set(children(template))
        opening = asyncio.ensure_future(bench.node.open_cell(LIMITS))
        while not opening.done() and not (fresh := set(children(template)) - known):  # noqa: ASYNC110, nothing tells of a new process
            await asyncio.sleep(0)
        if not opening.done():
            os.kill(min(fresh), signal.SIGKILL)
        return (await asyncio.gather(opening, return_exceptions=True))[0]

    for _ in range(20):
        opened = bench.wait(kill_while_opening())
        if isinstance(opened, BaseException):
            assert isinstance(opened, CellDied), opened
            break
        bench.wait(opened.close())
    else:
        pytest.fail("each of the cells was faster than its killer")
    assert held() == before


def test_a_cell_killed_by_the_host_ends_its_calls_with_a_reason(bench: Bench) -> None:
    before = held()
    with bench.cell() as cell:
        calling: Future[Run] = cell.begin_command("sleep 1000", timeout_seconds=60)
        assert cell.shell("echo alive") == "alive"
        os.kill(cell.pid, signal.SIGKILL)
        assert "first process ended" in cell.wait_ended()
        with pytest.raises(CellEnded, match="first process ended"):
            calling.result(30)
        with pytest.raises(CellEnded, match="first process ended"):
            cell.command("true")
        assert wait_gone(cell.pid)
    assert held() == before


def test_one_cells_end_is_not_anothers(bench: Bench) -> None:
    with bench.cell() as one, bench.cell() as other:
        os.kill(one.pid, signal.SIGKILL)
        one.wait_ended()
        assert other.shell("echo alive") == "alive"


def test_many_cells_open_at_once(bench: Bench) -> None:
    async def open_many() -> list[str]:
        cells = await asyncio.gather(*(bench.node.open_cell(LIMITS) for _ in range(20)))
        await asyncio.gather(*(cell.close() for cell in cells))
        return [cell.name for cell in cells]

    before = held()
    assert len(set(bench.wait(open_many()))) == 20
    assert held() == before
