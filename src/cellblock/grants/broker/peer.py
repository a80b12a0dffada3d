"""One end of a connection: h11's view of HTTP over a stream, with a bound on bytes and on every wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import h11

STREAM_BYTES = 128 * 1024  # of each direction; the transport stops to read at twice as much
HEAD_BYTES = 32 * 1024
IDLE_SECONDS = 60.0  # without a byte read or taken

Event = h11.Request | h11.Response | h11.InformationalResponse | h11.Data | h11.EndOfMessage | h11.ConnectionClosed
LOST = (OSError, TimeoutError, h11.ProtocolError, EOFError)
"""What ends a connection: a peer that is gone, that stands still, or that does not speak HTTP."""


class Peer:
    """Owns its stream. `close` it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, role: type[h11.CLIENT] | type[h11.SERVER]) -> None:
        self.http = h11.Connection(role, max_incomplete_event_size=HEAD_BYTES)
        self._reader = reader
        self._writer = writer

    async def receive(self, *, seconds: float | None = IDLE_SECONDS) -> Event:
        """The next event. Raises one of LOST."""
        while True:
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                async with asyncio.timeout(seconds):
                    self.http.receive_data(await self._reader.read(STREAM_BYTES))
            elif isinstance(event, Event):
                return event
            else:
                raise h11.RemoteProtocolError("it sends a request before the one before it is answered")

    async def body(self) -> AsyncIterator[h11.Data | h11.EndOfMessage]:
        """The pieces of the message that has begun, with its end."""
        while True:
            event = await self.receive()
            if isinstance(event, h11.Data | h11.EndOfMessage):
                yield event
            if isinstance(event, h11.EndOfMessage):
                return
            if isinstance(event, h11.ConnectionClosed):
                raise EOFError("it went away in the middle")

    async def send(self, event: h11.Request | h11.Response | h11.InformationalResponse | h11.Data | h11.EndOfMessage) -> None:
        """Write, and wait until the peer has taken enough. Raises one of LOST."""
        data = self.http.send(event)
        if data:
            self._writer.write(data)
            async with asyncio.timeout(IDLE_SECONDS):
                await self._writer.drain()

    @property
    def is_gone(self) -> bool:
        """Whether the other side has closed, as far as is known."""
        return self._reader.at_eof() or self._writer.is_closing()

    @property
    def may_begin_again(self) -> bool:
        """Whether both sides have said all and mean to go on."""
        return self.http.our_state is h11.DONE and self.http.their_state is h11.DONE

    def close(self) -> None:
        """At once, whatever is under way."""
        with contextlib.suppress(OSError):
            self._writer.transport.abort()

    async def close_gently(self) -> None:
        """After the peer has taken what was written."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(IDLE_SECONDS):
                self._writer.close()
                await self._writer.wait_closed()
        self.close()
