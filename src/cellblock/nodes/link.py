"""The host's end of a link: sends calls to one agent and gives each its reply."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from cellblock.errors import CellDied, CellEnded, HostIsFull, host_failed
from cellblock.model.calls import Call, FileStreamed, Follower, ReadStream, Reply, ReplyT, ToolFailed, WriteStream
from cellblock.nodes import codec
from cellblock.nodes.download import Incoming
from cellblock_cell.link import Decoder, Frame, Kind, LinkError, head, pieces

_FRAMES_AT_ONCE = 8  # of an upload, in one system call
_CANCEL_SECONDS = 5  # the agent's own grace before it kills is 2


@dataclass(slots=True)
class _Pending:
    call: Call[Any]
    collected: codec.Collected | Incoming
    answer: asyncio.Future[Reply]


class CellLink(asyncio.Protocol):
    """One link. The owner opens it, starts the cell through it, and closes it."""

    def __init__(self, on_lost: Callable[[str], None]) -> None:
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._decoder = Decoder()
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._hello: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hello.add_done_callback(_look_at)  # a cell may be given up before anyone waits for its HELLO
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._lost_reason: str | None = None

    @classmethod
    async def open(cls, end: socket.socket, on_lost: Callable[[str], None]) -> CellLink:
        """Take over the host's end; `on_lost` is called once when the agent is gone or speaks nonsense."""
        end.setblocking(False)
        _, link = await asyncio.get_running_loop().create_unix_connection(lambda: cls(on_lost), sock=end)
        return link

    async def wait_ready(self, seconds: float) -> None:
        """Returns at the cell's HELLO, raises HostNotReady with the step of its confinement that failed."""
        try:
            async with asyncio.timeout(seconds):
                await self._hello
        except TimeoutError as error:
            raise HostIsFull(f"a cell did not start within {seconds:g} s") from error

    async def call(self, call: Call[ReplyT]) -> ReplyT:
        """Do one call; raises ToolFailed, CellEnded. Cancelling interrupts the run and waits a bounded time for its end."""
        return await self._call(call, codec.expect(call))

    async def follow(self, call: Call[ReplyT], follower: Follower) -> ReplyT:
        """As `call`, while somebody reads what is printed."""
        return await self._call(call, codec.expect(call).followed_by(follower))

    @asynccontextmanager
    async def download(self, call: ReadStream) -> AsyncIterator[Incoming]:
        """An open file; leaving the block closes it. Raises ToolFailed, CellEnded."""
        number, answer = self._next_call()
        incoming = Incoming(answer, lambda count: self._write(Frame(Kind.DATA, number, {"more": count})))
        answer.add_done_callback(_look_at)  # whoever leaves early does not wait for it
        self._pending[number] = _Pending(call, incoming, answer)
        try:
            self._write(Frame(Kind.CALL, number, codec.call_meta(call)))
            await incoming.begin()
            yield incoming
        finally:
            await self._cancel(number, answer)
            self._pending.pop(number, None)

    async def _call(self, call: Call[ReplyT], collected: codec.Collected) -> ReplyT:
        number, answer = self._next_call()
        self._pending[number] = _Pending(call, collected, answer)
        try:
            await self._send(number, call, answer)
            return cast(ReplyT, await answer)
        except asyncio.CancelledError:
            if answer.cancelled():  # with this task; the agent's answer is still to come
                answer = self._pending[number].answer = asyncio.get_running_loop().create_future()
            await self._cancel(number, answer)
            raise
        finally:
            self._pending.pop(number, None)

    def _next_call(self) -> tuple[int, asyncio.Future[Reply]]:
        if self._lost_reason is not None:
            raise CellEnded(self._lost_reason)
        return next(self._numbers), asyncio.get_running_loop().create_future()

    def close(self) -> None:
        """Close the descriptor; the agent sees the end and exits."""
        if self._transport is not None:
            self._transport.abort()

    async def _send(self, number: int, call: Call[Any], answer: asyncio.Future[Reply]) -> None:
        try:
            first = Frame(Kind.CALL, number, codec.call_meta(call))
            frames = codec.uploads(call, number)
            self._write(first)
            while some := tuple(itertools.islice(frames, _FRAMES_AT_ONCE)):
                await self._may_write.wait()
                self._write(*some)
        except LinkError as error:
            raise ToolFailed("too_large", f"the request does not fit the link: {error}") from error
        if isinstance(call, WriteStream):
            await self._send_stream(number, call, answer)

    async def _send_stream(self, number: int, call: WriteStream, answer: asyncio.Future[Reply]) -> None:
        """The pieces as fast as the agent takes them, until it has refused the file; when they end too early, nothing is kept."""
        is_complete = False
        try:
            async for data in call.pieces:
                for piece in pieces(data):
                    self._write(Frame(Kind.DATA, number, {"file": 0}, piece))
                await self._may_write.wait()
                if answer.done():
                    break
            is_complete = True
        finally:
            if not is_complete:
                answer.add_done_callback(_look_at)
                await self._cancel(number, answer)
        self._write(Frame(Kind.END, number))

    async def _cancel(self, number: int, answer: asyncio.Future[Reply]) -> None:
        if answer.done() or self._lost_reason is not None:
            return
        self._write(Frame(Kind.CANCEL, number, {"reason": "the client went away"}))
        with contextlib.suppress(TimeoutError, ToolFailed, CellEnded):
            async with asyncio.timeout(_CANCEL_SECONDS):
                await asyncio.shield(answer)

    def _write(self, *frames: Frame) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.writelines([part for frame in frames for part in (head(frame), frame.body) if part])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the link stands."""
        self._transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        """asyncio: the agent does not read as fast as uploads come."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """asyncio: it has caught up."""
        self._may_write.set()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes from the cell, believed only after decoding."""
        try:
            for frame in self._decoder.feed(data):
                self._take(frame)
        except LinkError as error:
            self._lose(f"its agent broke the link's protocol: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio: the agent has closed the link, which it does only by ending."""
        self._lose("its first process ended")

    def _take(self, frame: Frame) -> None:
        if frame.kind is Kind.HELLO:
            if not self._hello.done():
                self._hello.set_result(None)
        elif frame.kind is Kind.RESULT and frame.call == 0:
            self._refuse_start(frame)
        elif frame.kind is Kind.DATA and frame.call in self._pending:
            self._pending[frame.call].collected.add(frame)
        elif frame.kind is Kind.RESULT and frame.call in self._pending:
            self._finish(self._pending[frame.call], frame)
        elif frame.kind not in (Kind.DATA, Kind.RESULT):
            raise LinkError(f"an agent does not send {frame.kind.name}")

    def _refuse_start(self, frame: Frame) -> None:
        error_name, message = codec.failure(frame.meta) or ("", "unknown step")
        if not self._hello.done():
            self._hello.set_exception(host_failed(f"a cell could not be confined: {message}", error_name))

    def _finish(self, pending: _Pending, frame: Frame) -> None:
        if pending.answer.done():
            return
        if failed := codec.failure(frame.meta):
            pending.answer.set_exception(ToolFailed(*failed))
        elif isinstance(pending.collected, Incoming):
            pending.answer.set_result(FileStreamed(pending.collected.size))
        else:
            pending.answer.set_result(codec.reply(pending.call, frame.meta, pending.collected))

    def _lose(self, reason: str) -> None:
        if self._lost_reason is not None:
            return
        self._lost_reason = reason
        self._may_write.set()
        if not self._hello.done():
            self._hello.set_exception(CellDied(f"a cell died while it started: {reason}"))
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_exception(CellEnded(reason))
        self.close()
        self._on_lost(reason)


def _look_at(future: asyncio.Future[Any]) -> None:
    """An exception that somebody has looked at is not logged when nobody else does."""
    if not future.cancelled():
        future.exception()
