"""A connection of the Model Context Protocol is the same at every front end, and its session stays at one node."""

from __future__ import annotations

import itertools
from urllib.parse import urlsplit

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from cluster_processes import RunningCluster
from mcp_clients import headers_of, http_client, texts
from running_server import BUILT_IN, until


async def test_variables_stay_while_requests_go_to_the_front_ends_by_turns(running: RunningCluster) -> None:
    ports = itertools.cycle([urlsplit(one.url).port for one in running.cluster.front_ends])
    used: set[int | None] = set()

    async def take_turns(request: httpx2.Request) -> None:
        request.url = request.url.copy_with(port=next(ports))
        used.add(request.url.port)

    headers = headers_of(running.key_id, running.secret)
    hooks = {"request": [take_turns]}
    address = f"{running.cluster.front_ends[0].url}/mcp"
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60, event_hooks=hooks) as http,
        Client(streamable_http_client(address, http_client=http)) as client,
    ):
        await client.call_tool("execute_code", {"code": "x = 6"})
        for factor in (7, 8):
            assert texts(await client.call_tool("execute_code", {"code": f"print(x * {factor})"})) == [str(6 * factor)]
    assert len(used) == 2


async def test_each_connection_has_a_session_that_ends_with_it(running: RunningCluster) -> None:
    headers = headers_of(running.key_id, running.secret)
    url = running.cluster.front_ends[0].url
    before = live(running)
    async with http_client(url, headers) as first, http_client(url, headers) as second:
        for client in (first, second):
            assert texts(await client.call_tool("execute_code", {"code": "print(1)"})) == ["1"]
        assert live(running) == before + 2
    until(lambda: live(running) == before)


def live(running: RunningCluster) -> int:
    """How many sessions the API lists as ready."""
    listed = running.data.list_code_interpreter_sessions(codeInterpreterIdentifier=BUILT_IN, status="READY", maxResults=100)
    return len(listed["items"])
