"""The listeners of sessions: each is one session's own, so that who connects is known by where."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field

import h11

from cellblock.grants.broker.exchange import Access, CellConnection
from cellblock.grants.broker.peer import LOST, STREAM_BYTES, Peer

CONNECTIONS = 32  # of a session at a time; others wait in its listener's queue
CONNECT_SECONDS = 10.0


@dataclass(slots=True, eq=False)
class Door:
    """Accepts the connections of one session until it is closed. It owns the listener."""

    listener: socket.socket
    access: Access
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTIONS))
    _connections: set[asyncio.Task[None]] = field(default_factory=set)
    _accepting: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin."""
        self.listener.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(), name=f"door {self.access.session_id}")

    async def close(self) -> None:
        """End every connection: each of them would keep the cell's network namespace."""
        tasks = [*self._connections, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.listener.close()

    async def _accept(self) -> None:
        while True:
            await self._places.acquire()
            accepted, _ = await asyncio.get_running_loop().sock_accept(self.listener)
            task = asyncio.create_task(self._serve(accepted))
            self._connections.add(task)
            task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._connections.discard(task)
        self._places.release()

    async def _serve(self, accepted: socket.socket) -> None:
        with contextlib.suppress(*LOST):
            reader, writer = await asyncio.open_connection(sock=accepted, limit=STREAM_BYTES)
            await CellConnection(self.access, Peer(reader, writer, h11.SERVER)).serve()


async def connect(host: str, port: int, *, tls: bool) -> Peer:
    """A connection to S3. Raises one of LOST."""
    async with asyncio.timeout(CONNECT_SECONDS):
        reader, writer = await asyncio.open_connection(host, port, ssl=True if tls else None, limit=STREAM_BYTES)
    return Peer(reader, writer, h11.CLIENT)
