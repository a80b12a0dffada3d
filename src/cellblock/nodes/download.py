"""The host's side of one file on its way out of a cell: never more of it in memory than was asked for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable

from cellblock.model.calls import Reply, ToolFailed
from cellblock_cell.link import Frame, LinkError

WINDOW_BYTES = 1024 * 1024  # asked for and not yet taken
HIGHEST_SIZE = 1 << 53


class Incoming:
    """Takes the frames of a read_stream call; `ask` sends the agent the number of bytes that may come, `answer` is the call's end."""

    def __init__(self, answer: asyncio.Future[Reply], ask: Callable[[int], None]) -> None:
        self._answer = answer
        self._ask = ask
        self._size: int | None = None
        self._allowed_bytes = 0
        self._missing_bytes = 0
        self._pieces: deque[bytes] = deque()
        self._changed = asyncio.Event()
        answer.add_done_callback(lambda _: self._changed.set())

    @property
    def size(self) -> int:
        """See `Download.size`; known after `begin`."""
        return self._size or 0

    def add(self, frame: Frame) -> None:
        """Take one DATA frame. Raises LinkError when it is not what was asked for."""
        if self._size is None:
            self._size = self._missing_bytes = _size(frame)
        elif 0 < len(frame.body) <= min(self._allowed_bytes, self._missing_bytes):
            self._allowed_bytes -= len(frame.body)
            self._missing_bytes -= len(frame.body)
            self._pieces.append(bytes(frame.body))
        else:
            raise LinkError("more of a file than was asked for, or than it has")
        self._changed.set()

    async def begin(self) -> None:
        """Wait until the file is open. Raises what the call raises."""
        await self._until(lambda: self._size is not None)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """See `Download.pieces`."""
        left = self.size
        self._allow(WINDOW_BYTES)
        while left > 0:
            await self._until(lambda: bool(self._pieces))
            piece = self._pieces.popleft()
            left -= len(piece)
            self._allow(len(piece))
            yield piece
        await asyncio.shield(self._answer)

    def _allow(self, count: int) -> None:
        self._allowed_bytes += count
        self._ask(count)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            if self._answer.done():
                self._answer.result()
                raise ToolFailed("io", "the file ended before all of it had come")
            self._changed.clear()
            await self._changed.wait()


def _size(frame: Frame) -> int:
    size = frame.meta.get("size")
    if type(size) is not int or not 0 <= size < HIGHEST_SIZE:  # a truth value is an int too
        raise LinkError("a file without a size")
    return size
