"""The other end of a link, held by the test: a forged agent that says whatever it likes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cellblock.nodes.link import CellLink
from cellblock_cell.link import Decoder, Frame, Kind, Meta, encode


class ForgedAgent:
    """Reads the host's frames and sends bytes."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._decoder = Decoder()
        self._frames: list[Frame] = []
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.lost_times = 0

    def on_lost(self, reason: str) -> None:
        """What the link calls."""
        self.lost_times += 1
        if not self.lost.done():
            self.lost.set_result(reason)

    async def send(self, data: bytes) -> None:
        """Bytes, as they are; a host that has hung up is fine."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._end, data)
        except (BrokenPipeError, ConnectionResetError):
            return

    async def say(self, kind: Kind, call: int, meta: Meta, body: bytes = b"") -> None:
        """A well-formed frame."""
        await self.send(encode(Frame(kind, call, meta, body)))

    async def hear(self, kind: Kind) -> Frame:
        """The host's next frame of a kind; others are dropped."""
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if frame.kind is kind:
                    return frame
            data = await asyncio.get_running_loop().sock_recv(self._end, 65536)
            assert data, "the host hung up"
            self._frames = self._decoder.feed(data)

    def close(self) -> None:
        """Hang up."""
        self._end.close()


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[CellLink, ForgedAgent]]:
    """A link and a forged agent at its other end."""
    ours, theirs = socket.socketpair()
    agent = ForgedAgent(theirs)
    link = await CellLink.open(ours, agent.on_lost)
    try:
        yield link, agent
    finally:
        link.close()
        agent.close()
