"""An answer that is sent while it is made: watched for a client that goes away or that takes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, Self, TypeVar

from cellblock.http.exchange import ClientGone, Receive

UNREAD_SECONDS = 120.0  # for one piece; a reader that is slower than that holds a session's call for nothing

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ResultT = TypeVar("ResultT")


class StreamedAnswer:
    """Begin, pieces, end. An answer that is not ended is cut off with its connection, so that the client can tell."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.has_begun = False
        self._gone: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        """Watch the client from here on; its request has been read."""
        self._gone = asyncio.ensure_future(_disconnected(self._receive))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Watch no longer."""
        if self._gone is not None:
            self._gone.cancel()
            await asyncio.gather(self._gone, return_exceptions=True)

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Status and headers, once; later calls do nothing."""
        if self.has_begun:
            return
        self.has_begun = True
        raw = [(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def piece(self, data: bytes | bytearray) -> None:
        """A part of the body. Raises ClientGone."""
        if self._gone is not None and self._gone.done():
            raise ClientGone
        try:
            async with asyncio.timeout(UNREAD_SECONDS):
                await self._send({"type": "http.response.body", "body": data, "more_body": True})
        except TimeoutError as error:
            raise ClientGone from error

    async def end(self) -> None:
        """The body is complete."""
        await self._send({"type": "http.response.body", "body": b""})

    async def unless_gone(self, work: Awaitable[ResultT]) -> ResultT:
        """What the work gives; it is cancelled, and ClientGone raised, when the client goes away."""
        step = asyncio.ensure_future(work)
        watched: list[asyncio.Future[Any]] = [step] if self._gone is None else [step, self._gone]
        try:
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if step.done():
                return step.result()
            raise ClientGone
        finally:
            if not step.done():
                step.cancel()
                await asyncio.gather(step, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
