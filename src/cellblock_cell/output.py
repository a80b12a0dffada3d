"""What processes print: pipes read without loss, a budget for what is kept, and a place for pipes nobody waits for."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections import deque
from collections.abc import Callable
from typing import Literal

from cellblock_cell.loop import READ, Loop

Stream = Literal["stdout", "stderr"]
Sink = Callable[[Stream, bytes], None]
_READ_BYTES = 64 * 1024  # a pipe holds no more
_ABANDONED_MOST = 64


class Budget:
    """Counts bytes up to a limit; what is beyond is dropped and counted too."""

    def __init__(self, limit_bytes: int) -> None:
        self._left = max(0, limit_bytes)
        self.dropped_bytes = 0

    def take(self, data: bytes) -> bytes:
        """The part of the data that fits."""
        kept = data[: self._left]
        self._left -= len(kept)
        self.dropped_bytes += len(data) - len(kept)
        return kept


class PipeReader:
    """Reads one pipe for as long as anyone holds its other end."""

    def __init__(self, loop: Loop, descriptor: int, sink: Callable[[bytes], None]) -> None:
        os.set_blocking(descriptor, False)
        self._loop = loop
        self._descriptor = descriptor
        self.sink = sink
        self.is_closed = False
        self._is_paused = False
        self._is_held = False
        self._watch()

    def pause(self) -> None:
        """Read nothing: the writers wait when the pipe is full."""
        self._is_paused = True
        self._watch()

    def resume(self) -> None:
        """Read again."""
        self._is_paused = False
        self._watch()

    def hold(self, is_held: bool) -> None:
        """Let what comes wait for `drain`, or no longer; independent of `pause`."""
        self._is_held = is_held
        self._watch()

    def drain(self) -> None:
        """Read what the pipe holds at this moment; a writer that never stops cannot hold the caller."""
        if self.is_closed:
            return
        (left,) = struct.unpack("i", fcntl.ioctl(self._descriptor, termios.FIONREAD, bytes(4)))
        while left > 0 and (data := os.read(self._descriptor, min(left, _READ_BYTES))):
            left -= len(data)
            self.sink(data)

    def close(self) -> None:
        """Writers get SIGPIPE from here on; may be called twice."""
        if not self.is_closed:
            self._loop.unwatch(self._descriptor)
            self.is_closed = True
            os.close(self._descriptor)

    def _watch(self) -> None:
        if self.is_closed:
            return
        if self._is_paused or self._is_held:
            self._loop.unwatch(self._descriptor)
        else:
            self._loop.watch(self._descriptor, READ, self._readable)

    def _readable(self, _events: int) -> None:
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        if data:
            self.sink(data)
        else:
            self.close()


class OutputPipes:
    """Standard output and standard error of one process."""

    def __init__(self, loop: Loop, sink: Sink) -> None:
        reading, self.stdout = os.pipe()
        try:
            reading_errors, self.stderr = os.pipe()
        except OSError:
            os.close(reading)
            os.close(self.stdout)
            raise
        self._readers = (
            PipeReader(loop, reading, lambda data: sink("stdout", data)),
            PipeReader(loop, reading_errors, lambda data: sink("stderr", data)),
        )

    @property
    def is_closed(self) -> bool:
        """Whether nobody holds the other ends any more."""
        return all(reader.is_closed for reader in self._readers)

    def close_ends(self) -> None:
        """Close the process's ends here, once it has them or was not started."""
        os.close(self.stdout)
        os.close(self.stderr)

    def pause(self) -> None:
        """Read nothing until `resume`."""
        for reader in self._readers:
            reader.pause()

    def resume(self) -> None:
        """Read again."""
        for reader in self._readers:
            reader.resume()

    def hold(self, is_held: bool) -> None:
        """Let what comes wait for `drain`, or no longer; independent of `pause`."""
        for reader in self._readers:
            reader.hold(is_held)

    def drain(self) -> None:
        """Read what the pipes hold at this moment."""
        for reader in self._readers:
            reader.drain()

    def drop(self) -> None:
        """Go on reading, and forget what comes."""
        for reader in self._readers:
            reader.sink = _forget
        self.hold(False)
        self.resume()

    def close(self) -> None:
        """Stop reading for good."""
        for reader in self._readers:
            reader.close()


def _forget(_data: bytes) -> None:
    """The writer goes on; nobody asked for what it prints."""


class Abandoned:
    """Pipes whose process has ended but whose background children still write: read and dropped, so that they live on."""

    def __init__(self) -> None:
        self._pipes: deque[OutputPipes] = deque()

    def add(self, pipes: OutputPipes) -> None:
        """Keep the pipes open; past the limit the oldest are closed."""
        pipes.drop()
        self._pipes = deque(kept for kept in self._pipes if not kept.is_closed)
        self._pipes.append(pipes)
        if len(self._pipes) > _ABANDONED_MOST:
            self._pipes.popleft().close()
