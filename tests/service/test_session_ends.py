"""Every end of a session has a reason, and leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cellblock.errors import CellEnded
from cellblock.model.calls import Call
from service.fake_clock import FakeClock
from service.fake_node import FakeCell, FakeNode, done
from service.served import Served, Session, serving, until


async def reason_of(session: Session) -> str:
    """What a call on the ended session is told."""
    error = await session.refused("listFiles")
    assert error["Error"]["Code"] == "ValidationException"
    assert f"session {session.id} is not active" in error["Error"]["Message"]
    return str(error["Error"]["Message"])


async def closed(cell: FakeCell) -> None:
    """Wait for the cell's end."""
    async with asyncio.timeout(10):
        await asyncio.shield(cell.ended)


@asynccontextmanager
async def aging(data_dir: Path) -> AsyncIterator[tuple[Served, FakeClock]]:
    """A server whose time the test moves."""
    clock = FakeClock()
    async with serving(data_dir, clock=clock) as served:
        yield served, clock


async def test_session_expires_by_its_lifetime_whatever_its_activity(data_dir: Path) -> None:
    async with aging(data_dir) as (served, clock):
        session = await served.start(sessionTimeoutSeconds=60)
        clock.advance(59)
        assert (await session.run("1"))["isError"] is False
        clock.advance(1)
        await closed(session.cell)
        assert (await session.get())["status"] == "TERMINATED"
        assert "expired: its lifetime of 60 seconds" in await reason_of(session)


async def test_lifetime_is_900_seconds_unless_asked_otherwise(data_dir: Path) -> None:
    async with aging(data_dir) as (served, clock):
        session = await served.start()
        await session.run("1")
        clock.advance(899)
        assert (await session.run("1"))["isError"] is False
        clock.advance(1)
        await closed(session.cell)


async def test_sessions_expire_each_at_its_own_time(data_dir: Path) -> None:
    async with aging(data_dir) as (served, clock):
        long = await served.start(sessionTimeoutSeconds=100)
        short = await served.start(sessionTimeoutSeconds=10)
        await short.run("1")
        cell = short.cell
        clock.advance(10)
        await closed(cell)
        assert (await long.run("1"))["isError"] is False


async def test_call_that_runs_at_the_end_still_answers(data_dir: Path) -> None:
    async with aging(data_dir) as (served, clock):
        session = await served.start(sessionTimeoutSeconds=10)
        started, over = asyncio.Event(), asyncio.Event()

        async def until_over(cell: FakeCell, request: Call[Any]) -> Any:
            started.set()
            await over.wait()
            return done("partly\n", outcome="timeout", exit_code=124)

        served.node.scripts["long"] = until_over
        call = asyncio.create_task(session.run("long"))
        await started.wait()
        clock.advance(10)
        assert "expired" in await reason_of(session)
        over.set()
        assert (await call)["structuredContent"]["stdout"] == "partly"
        await closed(session.cell)


async def test_call_that_outlives_the_end_is_cut_off(data_dir: Path) -> None:
    async with aging(data_dir) as (served, clock):
        session = await served.start(sessionTimeoutSeconds=10)
        started = asyncio.Event()

        async def forever(cell: FakeCell, request: Call[Any]) -> Any:
            started.set()
            await asyncio.Event().wait()

        served.node.scripts["forever"] = forever
        call = asyncio.create_task(session.refused("executeCode", language="python", code="forever"))
        await started.wait()
        clock.advance(10)
        await until(lambda: clock.waits_until(clock.now() + 3))
        clock.advance(3)
        assert "expired" in (await call)["Error"]["Message"]


async def test_death_of_the_cell_is_the_reason(served: Served) -> None:
    session = await served.start()
    await session.run("1")
    session.cell.die("its memory limit was reached")
    await closed(session.cell)
    assert "its memory limit was reached" in await reason_of(session)
    assert (await session.get())["status"] == "TERMINATED"


async def test_call_under_which_the_cell_dies_is_told_the_reason(served: Served) -> None:
    session = await served.start()

    async def die(cell: FakeCell, request: Call[Any]) -> Any:
        cell.die("its agent broke the link's protocol")
        raise CellEnded("its agent broke the link's protocol")

    served.node.scripts["die"] = die
    error = await session.refused("executeCode", language="python", code="die")
    assert "is not active" in error["Error"]["Message"]
    assert "its agent broke the link's protocol" in error["Error"]["Message"]


async def test_stop_of_the_server_is_the_reason_after_it(data_dir: Path) -> None:
    async with serving(data_dir) as served:
        session = await served.start()
    async with serving(data_dir) as again:
        assert "server stopped" in await reason_of(Session(again, again.data(), session.id))


async def test_ended_session_gives_its_place_back(data_dir: Path) -> None:
    async with serving(data_dir, max_sessions=1) as served:
        for _ in range(3):
            session = await served.start()
            await session.stop()


async def test_each_cell_serves_one_session(served: Served) -> None:
    names = set()
    for _ in range(4):
        session = await served.start()
        await session.run("1")
        names.add(session.cell.name)
        await session.stop()
    assert len(names) == 4


async def test_dead_waiting_cell_is_not_handed_out(served: Served) -> None:
    (waiting,) = served.node.open_cells
    waiting.die("for the test")
    session = await served.start()
    await session.run("1")
    assert session.cell is not waiting


@pytest.mark.parametrize("size", [0, 3])
async def test_pool_holds_as_many_cells_as_the_setting_says(data_dir: Path, size: int) -> None:
    async with serving(data_dir, pool_size=size) as served:
        await until(lambda: len(served.node.open_cells) == size)


async def test_server_does_not_start_on_a_node_that_opens_no_cell(data_dir: Path) -> None:
    node = FakeNode()
    node.is_broken = True
    with pytest.raises(Exception, match="told to be broken"):
        async with serving(data_dir, node=node):
            pass
    assert node.is_closed
