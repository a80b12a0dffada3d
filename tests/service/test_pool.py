"""The pool follows the sessions that come, between its bounds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cellblock.model.calls import CellLimits
from cellblock.sessions.arrivals import REMEMBERED_SECONDS, Arrivals
from cellblock.sessions.pool import COURTESY_SECONDS, WARM_UP_SECONDS, Pool, PoolBounds
from service.fake_clock import FakeClock
from service.fake_node import FakeNode
from service.served import until

LIMITS = CellLimits(memory_bytes=1, process_count=1, cpus=1, workspace_bytes=1, tmp_bytes=1)
BURST = 6


@asynccontextmanager
async def started(node: FakeNode, clock: FakeClock, bounds: PoolBounds) -> AsyncIterator[Pool]:
    pool = Pool(node, LIMITS, bounds, clock)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


async def _let_it_fill(clock: FakeClock) -> None:
    """While cells wait, it opens and closes others only after a pause."""
    await until(lambda: clock.waits_until(clock.now() + COURTESY_SECONDS))
    clock.advance(COURTESY_SECONDS)


async def test_a_burst_is_expected_again_until_it_is_a_minute_old() -> None:
    node, clock = FakeNode(), FakeClock()
    async with started(node, clock, PoolBounds(least=2, most=100)) as pool:
        await _let_it_fill(clock)
        await until(lambda: pool.ready_count == 2)
        for _ in range(BURST):
            await pool.take()
        await until(lambda: pool.ready_count == BURST)
        clock.advance(REMEMBERED_SECONDS / 2)
        assert pool.size == BURST
        clock.advance(REMEMBERED_SECONDS)
        await _let_it_fill(clock)
        await until(lambda: pool.ready_count == 2)
    assert len(node.open_cells) == BURST, "those of the sessions; what waited was closed"


async def test_a_burst_larger_than_the_pool_has_its_cells_opened_at_once() -> None:
    node = FakeNode()
    async with started(node, FakeClock(), PoolBounds(least=1, most=2)) as pool:
        taken = [await pool.take() for _ in range(BURST)]
    assert len(set(taken)) == BURST
    assert node.open_cells == set(taken)


async def test_the_most_bounds_what_waits() -> None:
    node = FakeNode()
    async with started(node, FakeClock(), PoolBounds(least=1, most=3)) as pool:
        for _ in range(BURST):
            await pool.take()
        await until(lambda: pool.ready_count == 3)
        assert pool.size == 3


async def test_a_most_below_the_least_leaves_the_pool_at_its_least() -> None:
    assert PoolBounds(least=5, most=0).hold(100) == 5


async def test_a_cell_that_waits_is_warmed_up_and_one_that_is_taken_before_is_not() -> None:
    node, clock = FakeNode(), FakeClock()
    async with started(node, clock, PoolBounds(least=2, most=2)) as pool:
        await _let_it_fill(clock)
        await until(lambda: pool.ready_count == 2)
        taken = await pool.take()
        await until(lambda: clock.waits_until(clock.now() + WARM_UP_SECONDS))
        clock.advance(WARM_UP_SECONDS)
        await until(lambda: sum(cell.warmed_up for cell in node.cells) == 1)
        assert next(cell for cell in node.cells if cell is taken).warmed_up == 0


async def test_a_pool_that_is_off_stays_off_however_many_sessions_come() -> None:
    node = FakeNode()
    async with started(node, FakeClock(), PoolBounds(least=0, most=16)) as pool:
        taken = {await pool.take() for _ in range(BURST)}
        assert (pool.size, pool.ready_count) == (0, 0)
    assert node.open_cells == taken


def test_a_burst_across_the_border_of_two_seconds_counts_whole() -> None:
    arrivals = Arrivals()
    for time in (9.9, 9.95, 10.0, 10.05):
        arrivals.add(time)
    arrivals.add(30.0)
    assert arrivals.most(30.0) == 4


def test_nothing_is_kept_of_arrivals_that_are_long_past() -> None:
    arrivals = Arrivals()
    for second in range(1000):
        arrivals.add(float(second))
    assert arrivals.most(999.0) == 2
    assert arrivals.most(10_000.0) == 0
    assert arrivals.next_change() is None
