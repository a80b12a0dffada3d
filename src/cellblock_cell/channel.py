"""Frames over a non-blocking socket: an outgoing queue, flow control, and answers made as fast as they are read."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from cellblock_cell.link import Decoder, Frame, LinkError, encode
from cellblock_cell.loop import READ, WRITE, Loop

_READ_BYTES = 256 * 1024
_HIGH_BYTES = 1024 * 1024  # queued for the host: from here on nothing more is read from the cell's processes
_LOW_BYTES = 256 * 1024  # queued for the host: from here on it is read again
_STEPS_A_ROUND = 32  # of an answer, before other descriptors get their turn
_PARTS_AT_ONCE = 16  # of the queue, in one system call


class Source(Protocol):
    """What feeds a queue and can be told to wait."""

    def pause(self) -> None:
        """Read nothing until `resume`."""

    def resume(self) -> None:
        """Read again."""


class Channel:
    """One end of a framed connection; `on_end` is called once, with the reason, and the owner then closes."""

    def __init__(self, loop: Loop, connection: socket.socket, *, on_frame: Callable[[Frame], None], on_end: Callable[[str], None]) -> None:
        connection.setblocking(False)
        self._loop = loop
        self._connection = connection
        self._on_frame = on_frame
        self._on_end = on_end
        self._decoder = Decoder()
        self._queue: deque[bytes | memoryview] = deque()
        self.queued_bytes = 0
        self._is_closed = False
        self._is_paused = False
        self._has_ended = False
        self._is_together = False
        self._watch()

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Frames that are sent within leave in one piece, which wakes the other side once."""
        self._is_together = True
        try:
            yield
        finally:
            self._is_together = False
            self._flush()

    def send(self, frame: Frame) -> None:
        """Send at once what the socket takes and queue the rest."""
        if self._is_closed:
            return
        data = encode(frame)
        self._queue.append(data)
        self.queued_bytes += len(data)
        if len(self._queue) == 1 and not self._is_together:
            self._flush()

    def pause(self) -> None:
        """Read nothing until `resume`: the other side has to wait."""
        self._is_paused = True
        self._watch()

    def resume(self) -> None:
        """Read again."""
        self._is_paused = False
        self._watch()

    def close(self) -> None:
        """Close the socket; what is queued is lost. May be called twice."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.unwatch(self._connection.fileno())
            self._connection.close()

    def _wants_to_write(self) -> bool:
        return bool(self._queue)

    def _writable(self) -> None:
        self._flush()

    def _watch(self) -> None:
        if self._is_closed:
            return
        events = (0 if self._is_paused or self._has_ended else READ) | (WRITE if self._wants_to_write() else 0)
        if events:
            self._loop.watch(self._connection.fileno(), events, self._ready)
        else:
            self._loop.unwatch(self._connection.fileno())

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._writable()
        if events & READ and not self._is_closed:
            self._readable()

    def _readable(self) -> None:
        try:
            data = self._connection.recv(_READ_BYTES)
            frames = self._decoder.feed(data)
        except BlockingIOError:
            return
        except LinkError as error:
            self._end(str(error))
            return
        except OSError:
            data, frames = b"", []
        if not data:
            self._end("the connection was closed")
            return
        for frame in frames:
            if not self._is_closed and not self._has_ended:
                self._on_frame(frame)

    def _flush(self) -> None:
        try:
            while self._queue:
                self._took(self._connection.sendmsg(itertools.islice(self._queue, _PARTS_AT_ONCE)))
        except BlockingIOError:
            pass
        except OSError:  # the other side is gone; the reading side says so
            self._queue.clear()
            self.queued_bytes = 0
        self._watch()

    def _took(self, sent: int) -> None:
        self.queued_bytes -= sent
        while self._queue and sent >= len(self._queue[0]):
            sent -= len(self._queue.popleft())
        if sent:
            self._queue[0] = memoryview(self._queue[0])[sent:]

    def _end(self, reason: str) -> None:
        self._has_ended = True
        self._watch()
        self._on_end(reason)


class HostLink(Channel):
    """The agent's connection to the host: what feeds it pauses while the host does not read."""

    def __init__(self, loop: Loop, connection: socket.socket, *, on_frame: Callable[[Frame], None], on_end: Callable[[str], None]) -> None:
        self._sources: set[Source] = set()
        self._answers: deque[Iterator[Frame | None]] = deque()
        self._is_full = False
        super().__init__(loop, connection, on_frame=on_frame, on_end=on_end)

    def send(self, frame: Frame) -> None:
        """Queue a frame; past the high mark every source pauses."""
        super().send(frame)
        if self.queued_bytes > _HIGH_BYTES and not self._is_full:
            self._is_full = True
            for source in self._sources:
                source.pause()

    def attach(self, source: Source) -> None:
        """The source feeds this link from here on."""
        self._sources.add(source)
        if self._is_full:
            source.pause()

    def detach(self, source: Source) -> None:
        """The source no longer feeds this link and may read on; may be called twice."""
        if source in self._sources:
            self._sources.remove(source)
            if self._is_full:
                source.resume()

    def answer(self, frames: Iterator[Frame | None]) -> None:
        """Send frames as fast as the host reads them; None gives way to other work."""
        self._answers.append(frames)
        self._continue_answers()

    def _wants_to_write(self) -> bool:
        return bool(self._queue) or bool(self._answers)

    def _writable(self) -> None:
        self._flush()
        if self._is_full and self.queued_bytes < _LOW_BYTES:
            self._is_full = False
            for source in tuple(self._sources):
                source.resume()
        self._continue_answers()

    def _continue_answers(self) -> None:
        for _ in range(_STEPS_A_ROUND):
            if not self._answers or self.queued_bytes >= _LOW_BYTES:
                break
            frames = self._answers.popleft()
            try:
                frame = next(frames)
            except StopIteration:
                continue
            self._answers.append(frames)
            if frame is not None:
                self.send(frame)
        self._watch()
