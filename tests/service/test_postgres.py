"""A server whose state is in PostgreSQL, while PostgreSQL is away: live sessions go on, the rest may be tried again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from postgres_server import PostgresServer, postgres
from service.served import BUILT_IN, Served, off_loop, refused, serving


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    with postgres() as server:
        yield server


@pytest.fixture
async def on_postgres(database: PostgresServer, data_dir: Path) -> AsyncIterator[Served]:
    async with serving(data_dir, store=await asyncio.to_thread(database.emptied)) as served:
        yield served


async def test_live_sessions_go_on_and_the_rest_may_be_tried_again(on_postgres: Served, database: PostgresServer) -> None:
    session, dying = await on_postgres.start(), await on_postgres.start()
    assert (await session.run("before"))["isError"] is False
    await dying.run("before")
    cell = on_postgres.node.cells[[one.calls != [] for one in on_postgres.node.cells].index(True)]
    await asyncio.to_thread(database.stop)
    assert (await session.run("while it is away"))["isError"] is False
    error = await refused(on_postgres.data().start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN)
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("InternalServerException", 500)
    assert "try again" in error["Error"]["Message"]
    dying.cell.die("killed by the test")
    await dying.cell.wait_ended()
    patient = on_postgres.data(retries={"mode": "standard", "total_max_attempts": 10})
    starting = asyncio.ensure_future(off_loop(patient.start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN))
    await asyncio.to_thread(database.start)
    assert (await starting)["sessionId"]
    assert cell in on_postgres.node.open_cells
    async with asyncio.timeout(20):
        while (await dying.get())["status"] != "TERMINATED":
            await asyncio.to_thread(bool)
    assert (await session.run("after"))["isError"] is False


async def test_server_starts_again_on_its_database(on_postgres: Served, database: PostgresServer, tmp_path: Path) -> None:
    session = await on_postgres.start()
    await session.run("1")
    on_postgres.stop.ask()
    await on_postgres.serving
    async with serving(on_postgres.data_dir, store=database.url()) as again:
        assert again.key == on_postgres.key
        got = await off_loop(again.data().get_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN, sessionId=session.id)
        assert got["status"] == "TERMINATED"
