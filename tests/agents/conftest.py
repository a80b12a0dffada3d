"""One real server for all of these tests, and a client of its /mcp."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from mcp.client import Client

from mcp_clients import headers_of, http_client
from running_server import RunningServer, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that shows models little of a result."""
    with serving(tmp_path_factory.mktemp("agents") / "data", max_sessions=100, mcp_result_kb=2) as running:
        yield running


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[Client]:
    """A connected client, in a task of its own: the SDK leaves a connection only where it was entered, and fixtures end elsewhere."""
    ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
    leave = asyncio.Event()

    async def hold() -> None:
        async with http_client(server.url, headers_of(server.key_id, server.secret)) as connected:
            ready.set_result(connected)
            await leave.wait()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hold())
        yield await ready
        leave.set()
