"""What a run prints, for somebody who reads it while it runs."""

from __future__ import annotations

import asyncio
from codecs import getincrementaldecoder
from dataclasses import dataclass
from typing import Any, Literal

from cellblock.model.calls import Call, Cell, Follower, ReplyT
from cellblock.model.results import Structured, TextBlock, ToolResult

PIECE_BYTES = 64 * 1024
GATHER_SECONDS = 0.01  # between two pieces: a program that prints byte by byte must not cost an event for each

Stream = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class FollowedCell:
    """A cell whose next run has a reader; all that tools need of one."""

    cell: Cell
    follower: Follower

    async def call(self, request: Call[ReplyT]) -> ReplyT:
        """See `Callee.call`."""
        return await self.cell.follow(request, self.follower)


class _Tail:
    """What has not been read yet of one of the run's buffers."""

    def __init__(self, stream: Stream, buffer: bytearray) -> None:
        self._stream = stream
        self._buffer = buffer
        self._position = 0
        self._decoder = getincrementaldecoder("utf-8")("replace")

    def take(self, *, is_over: bool) -> ToolResult | None:
        data = bytes(self._buffer[self._position : self._position + PIECE_BYTES])
        self._position += len(data)
        text = self._decoder.decode(data, final=is_over and self._position == len(self._buffer))
        if not text:
            return None
        stdout, stderr = (text, "") if self._stream == "stdout" else ("", text)
        return ToolResult(content=(TextBlock(text),), structured=Structured(stdout=stdout, stderr=stderr))


class OutputFollower:
    """Reads from the run's own buffers, so that a slow reader is behind and costs no memory."""

    def __init__(self) -> None:
        self._tails: tuple[_Tail, ...] = ()
        self._changed = asyncio.Event()

    def begin(self, stdout: bytearray, stderr: bytearray) -> None:
        """See `Follower.begin`."""
        self._tails = (_Tail("stdout", stdout), _Tail("stderr", stderr))

    def more(self) -> None:
        """See `Follower.more`."""
        self._changed.set()

    async def next(self, run: asyncio.Future[Any]) -> ToolResult | None:
        """What was printed since the last piece, as a result without an exit code; None when the run is over and all is read."""
        run.add_done_callback(self._over)
        try:
            while (piece := self._take(is_over=run.done())) is None and not run.done():
                self._changed.clear()
                await self._changed.wait()
            return piece or self._take(is_over=True)
        finally:
            run.remove_done_callback(self._over)

    def _over(self, _: asyncio.Future[Any]) -> None:
        self._changed.set()

    def _take(self, *, is_over: bool) -> ToolResult | None:
        return next((piece for tail in self._tails if (piece := tail.take(is_over=is_over))), None)
