"""The server that a client over standard input is served from: one that runs, or a private one started at the first call."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from cellblock.clients.server import Server
from cellblock.errors import HostNotReady
from cellblock.http.mcp_mount import MCP_PATH
from cellblock.machine.data_directory import read_credentials
from cellblock.machine.listeners import Address
from cellblock.machine.signals import StopSignals
from cellblock.nodes.local import LocalNode
from cellblock.runtime import builds
from cellblock.server import serve
from cellblock.settings.table import Settings
from cellblock.wire.bearer import bearer_token

PRIVATE: Mapping[str, Any] = MappingProxyType(  # the private server shares nothing with another one, and ends with its one client
    {
        "store": "",
        "pool_size": 0,
        "mcp_idle_seconds": 86_400,
        "mcp_origins": (),
        "tls_certificate": "",
        "tls_key": "",
        "audit": "off",
    }
)
READ_SECONDS = 300.0  # a run sends a sign of life every few seconds
PING_SECONDS = 60.0  # well below any time after which a server may end what rests

Find = Callable[[], Server | None]


class Upstream:
    """A connection to a server's `/mcp`, made when it is first needed and again after it was lost."""

    def __init__(self, settings: Settings, find: Find, interpreter_id: str) -> None:
        self._settings = settings
        self._find = find
        self._interpreter_id = interpreter_id
        self._running: asyncio.Task[None] | None = None
        self._client: asyncio.Future[Client] | None = None
        self._closing = asyncio.Event()

    async def client(self) -> Client:
        """A client that is connected. Raises what keeps it from that."""
        if self._client is None or (self._client.done() and (self._running is None or self._running.done())):
            self._client = asyncio.get_running_loop().create_future()
            self._running = asyncio.create_task(self._run(self._client), name="mcp upstream")
        return await asyncio.shield(self._client)

    async def close(self) -> None:
        """End the connection, its session and the private server."""
        self._closing.set()
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self, connected: asyncio.Future[Client]) -> None:
        try:
            async with self._server() as server, _connected(server, self._interpreter_id) as client:
                connected.set_result(client)
                await self._stay(client)
        except Exception as error:
            if not connected.done():
                connected.set_exception(error)

    async def _stay(self, client: Client) -> None:
        """Keep the connection until it is closed or lost."""
        while not self._closing.is_set():
            try:
                async with asyncio.timeout(PING_SECONDS):
                    await self._closing.wait()
            except TimeoutError:
                await client.send_ping()

    @asynccontextmanager
    async def _server(self) -> AsyncIterator[Server]:
        if found := self._find():
            yield found
            return
        with tempfile.TemporaryDirectory(prefix="cellblock-mcp-") as directory:
            async with _private_server(self._settings, Path(directory)) as server:
                yield server


@asynccontextmanager
async def _connected(server: Server, interpreter_id: str) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {bearer_token(server.key_id, server.secret)}"}
    address = f"{server.url.rstrip('/')}{MCP_PATH}?interpreter={quote(interpreter_id)}"
    async with (
        httpx2.AsyncClient(headers=headers, timeout=READ_SECONDS) as http,
        Client(streamable_http_client(address, http_client=http), mode="legacy") as client,
    ):
        yield client


@asynccontextmanager
async def _private_server(settings: Settings, directory: Path) -> AsyncIterator[Server]:
    """A server of this process on a free port, with nothing but one client to serve."""
    private = dataclasses.replace(settings, data_dir=directory / "data", **PRIVATE)
    node = LocalNode(private, await asyncio.to_thread(builds.build, private, lambda _: None))
    stop = StopSignals()
    ready: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
    address = Address(host="127.0.0.1", port=0)
    serving = asyncio.create_task(serve(private, node, address, stop=stop, on_ready=ready.set_result), name="private server")
    try:
        both: list[asyncio.Future[Any]] = [serving, ready]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        key = read_credentials(private.data_dir) if ready.done() else None
        if key is None:
            await serving  # raises what kept it from starting
            raise HostNotReady("the sandbox server ended before it was ready")
        yield Server(ready.result().url, key.id, key.secret)
    finally:
        stop.ask()
        await asyncio.gather(serving, return_exceptions=True)
