"""One request and its answer on uvicorn's connection: what the application may know of its client without a task that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from types import TracebackType
from typing import Any, Self, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

JOINED_BYTES = 64 * 1024  # up to here a body is copied behind its head

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGone(Exception):
    """The connection was closed before the request was complete."""


class Exchange(RequestResponseCycle):
    """Gives a body that is there at once, tells when the client goes away, and sends a whole answer in one piece."""

    def __init__(self, *, transport: asyncio.Transport, **parts: Any) -> None:
        super().__init__(transport=cast("asyncio.Transport", _Joining(transport)), **parts)
        self._on_gone: Callable[[], None] | None = None

    def take_body(self) -> bytes | None:
        """The body, when all of it has come; what `receive` gives from then on is the client's end."""
        if self.more_body or self.disconnected or self.response_complete or self.waiting_for_100_continue:
            return None
        self.message_event.clear()
        self.flow.resume_reading()
        body, self.body = bytes(self.body), bytearray()
        return body

    def when_gone(self, action: Callable[[], None] | None) -> None:
        """Do this once when the client goes away before its answer; at once when it has gone."""
        self._on_gone = action
        if self.disconnected:
            self.lose_client()

    def lose_client(self) -> None:
        """The connection is closed."""
        if self._on_gone is not None and not self.response_complete:
            action, self._on_gone = self._on_gone, None
            action()

    async def send(self, message: Any) -> None:
        """ASGI: the head of an answer whose length is known waits for the body, so that the client is woken once."""
        if message["type"] == "http.response.start" and self._will_have_body(message["headers"]):
            cast("_Joining", self.transport).hold()
        await super().send(message)

    def _will_have_body(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Of a known length, an empty one too; nothing follows the head of an answer to HEAD."""
        return self.scope["method"] != "HEAD" and any(name.lower() == b"content-length" for name, _ in headers)


class _Joining:
    """A connection's transport that can keep one write for the next."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._is_holding = False
        self._held = b""
        self.is_closing = transport.is_closing
        self.close = transport.close

    def hold(self) -> None:
        """Keep what is written next until more is."""
        self._is_holding = True

    def write(self, data: bytes | bytearray) -> None:
        """Send it, behind what was kept."""
        if self._is_holding:
            self._is_holding, self._held = False, bytes(data)
        elif not self._held:
            self._transport.write(data)
        else:
            held, self._held = self._held, b""
            if len(data) <= JOINED_BYTES:
                self._transport.write(held + data)
            else:
                self._transport.writelines((held, data))


class ClientWatch:
    """A block that is cancelled when the client goes away, and then raises ClientGone."""

    def __init__(self, receive: Receive) -> None:
        self._exchange = exchange_of(receive)
        self._task: asyncio.Task[Any] | None = None
        self._cancellations = 0
        self._is_gone = False

    def __enter__(self) -> Self:
        """Watch from here on."""
        self._task = asyncio.current_task()
        self._cancellations = self._task.cancelling() if self._task is not None else 0
        if self._exchange is not None:
            self._exchange.when_gone(self._leave)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Watch no longer."""
        if self._exchange is not None:
            self._exchange.when_gone(None)
        if self._is_gone and self._task is not None and self._task.uncancel() <= self._cancellations:
            raise ClientGone from error

    def _leave(self) -> None:
        self._is_gone = True
        if self._task is not None:
            self._task.cancel()


def exchange_of(receive: Receive) -> Exchange | None:
    """The exchange whose method this is; None under another HTTP server."""
    found = getattr(receive, "__self__", None)
    return found if isinstance(found, Exchange) else None
