"""One connection to a node: a request out, its answer in, piece by piece, and again."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

HEAD_BYTES = 64 * 1024  # of an answer
HELD_BYTES = 256 * 1024  # of an answer that its client has not taken yet
IDLE_PROBE_SECONDS = 5  # TCP's own probes find a cut network while a call is waited for
PROBE_SECONDS = 2
PROBES = 3
SENT_SECONDS = 15  # within which a small request is acknowledged by the node's kernel
UPLOAD_SECONDS = 120  # a node may take nothing of a large body for so long: there are only so many places for them

Headers = list[tuple[bytes, bytes]]


class NodeLost(Exception):
    """The node went away, or does not speak HTTP; what it did with the request is not known."""


@dataclass(slots=True)
class Answer:
    """What has come of an answer so far."""

    status: int = 0
    headers: Headers = field(default_factory=list)
    has_head: bool = False
    is_over: bool = False
    pieces: deque[bytes] = field(default_factory=deque)
    held_bytes: int = 0


class Hop(asyncio.Protocol):
    """A keep-alive connection; one request at a time, which its owner sees to."""

    def __init__(self, on_closed: Callable[[Hop], None]) -> None:
        self._on_closed = on_closed
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._head_bytes = 0
        self._loss: Exception | None = None
        self._news = asyncio.Event()  # of the answer
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_reading = True
        self._patience_seconds = 0

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow: the answer is complete and nobody closes."""
        is_over = self._answer is None or self._answer.is_over
        return is_over and self._loss is None and self._transport is not None and not self._transport.is_closing()

    def begin(self, head_and_body: bytes) -> None:
        """Send the head of a request, with the first piece of its body."""
        self._answer = Answer()
        self._head_bytes = 0
        self._news.clear()
        self._wait_for_acknowledgements(SENT_SECONDS)
        self._write(head_and_body)

    async def write(self, data: bytes) -> None:
        """Send a further piece; returns when there is room for another. Raises NodeLost."""
        self._wait_for_acknowledgements(UPLOAD_SECONDS)
        self._write(data)
        if not self._writable.is_set():
            await self._writable.wait()
        self._raise_loss()

    async def head(self) -> Answer:
        """The answer, when its status and headers are there. Raises NodeLost."""
        assert self._answer is not None
        while not self._answer.has_head:
            await self._wait_for_news()
        return self._answer

    async def piece(self) -> bytes:
        """The next piece of the answer's body, all that has come; empty at its end. Raises NodeLost."""
        answer = self._answer
        assert answer is not None
        while not answer.pieces and not answer.is_over:
            await self._wait_for_news()
        data = answer.pieces.popleft() if len(answer.pieces) == 1 else b"".join(answer.pieces)
        answer.pieces.clear()
        answer.held_bytes = 0
        if not self._is_reading and self._transport is not None and self._loss is None:
            self._is_reading = True
            self._transport.resume_reading()
        return data

    def close(self, loss: Exception | None = None) -> None:
        """Give it up at once; who waits for its answer is told."""
        self._lose(loss or NodeLost("the connection was given up"))
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: it stands."""
        self._transport = cast("asyncio.Transport", transport)
        _watch_for_cuts(transport.get_extra_info("socket"))

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: it has ended."""
        self._lose(NodeLost(f"the connection was lost{f': {exc}' if exc else ''}"))
        self._on_closed(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        if self._answer is None or self._answer.is_over:
            self.close(NodeLost("it sent what was not asked for"))
            return
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.close(NodeLost("its answer is not HTTP"))
            return
        if self._head_bytes > HEAD_BYTES:
            self.close(NodeLost("its answer has no end of its head"))
        self._news.set()

    def pause_writing(self) -> None:
        """asyncio: the node takes no more for now."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """asyncio: it does again."""
        self._writable.set()

    def on_message_begin(self) -> None:
        """httptools: an answer, or a second one that nobody asked for."""
        if self._answer is None or self._answer.is_over:
            self.close(NodeLost("it sent two answers to one request"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: one header."""
        if self._answer is not None and not self._answer.is_over:
            self._answer.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """httptools: the head is over."""
        answer = self._answer
        if answer is None or answer.is_over:
            return
        answer.status = int(self._parser.get_status_code())
        if answer.status < 200:
            answer.headers.clear()  # "go on" and the like; the answer itself follows
            return
        answer.has_head = True
        self._head_bytes = 0

    def on_body(self, body: bytes) -> None:
        """httptools: a piece of the body."""
        answer = self._answer
        if answer is None or answer.is_over or self._transport is None:
            return
        self._head_bytes = 0
        answer.pieces.append(body)
        answer.held_bytes += len(body)
        if answer.held_bytes > HELD_BYTES and self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """httptools: the answer is over."""
        if self._answer is None or not self._answer.has_head:
            return
        self._answer.is_over = True
        if not self._parser.should_keep_alive() and self._transport is not None:
            self._transport.close()

    def _wait_for_acknowledgements(self, seconds: int) -> None:
        """How long the kernel waits for the other end, with what was sent and with its probes (tcp(7), TCP_USER_TIMEOUT)."""
        if self._transport is not None and seconds != self._patience_seconds:
            self._patience_seconds = seconds
            connection: socket.socket = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)

    def _write(self, data: bytes) -> None:
        self._raise_loss()
        assert self._transport is not None
        self._transport.write(data)

    async def _wait_for_news(self) -> None:
        self._raise_loss()
        await self._news.wait()
        self._news.clear()

    def _raise_loss(self) -> None:
        if self._loss is not None:
            raise self._loss

    def _lose(self, loss: Exception) -> None:
        """The first reason stays; an answer that is complete is not lost."""
        if self._loss is None:
            self._loss = loss
        self._news.set()
        self._writable.set()


def _watch_for_cuts(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_PROBE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
