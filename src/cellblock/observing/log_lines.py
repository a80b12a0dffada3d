"""One JSON object a line on standard error and in a file, written by a thread so that a reader who stops reading stops nobody else."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Any, TextIO

import structlog

from cellblock.observing.rotating_file import RotatingFile
from cellblock.wire.encoding import json_bytes

KEPT_LINES = 10_000
CLOSE_SECONDS = 2.0
PAUSE_SECONDS = 0.2
LIBRARY_LETTERS = 500
LOG_NAME = "server.jsonl"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class LineWriter:
    """Takes lines without waiting; past its bound they are dropped and counted.

    The thread writes a few times a second and is not woken by each line: that would cost a request more than all of its signature.
    """

    def __init__(self, out: TextIO, file: RotatingFile | None = None) -> None:
        self._out: TextIO | None = out
        self._file = file
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write, name="log writer", daemon=True)
        self._thread.start()

    def msg(self, line: str) -> None:
        """One line."""
        if len(self._lines) < KEPT_LINES:
            self._lines.append(line)
        else:
            self._dropped += 1

    log = debug = info = warning = error = critical = exception = msg

    def close(self) -> None:
        """Write what waits, for a bounded time."""
        self._closing.set()
        self._thread.join(CLOSE_SECONDS)

    def _write(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._closing.wait(PAUSE_SECONDS)
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            dropped, self._dropped = self._dropped, 0
            if dropped:
                lines.append(f'{{"event":"log lines dropped","level":"warning","count":{dropped}}}')
            if lines:
                self._put("\n".join(lines) + "\n")

    def _put(self, text: str) -> None:
        """The file first: standard error may be a pipe that nobody empties."""
        if self._file is not None:
            try:
                self._file.append(text.encode())
            except OSError:
                self._file = None  # standard error still has the lines
        if self._out is not None:
            try:
                self._out.write(text)
                self._out.flush()
            except (OSError, ValueError):
                self._out = None  # nobody can be told that standard error is closed


class _Libraries(logging.Handler):
    """Lines of libraries that log by Python's own means, in the same form. Their arguments are not written: they may hold anything."""

    def emit(self, record: logging.LogRecord) -> None:
        """logging: one line."""
        logger = structlog.get_logger("cellblock.library")
        logger.log(record.levelno, "a library says", logger=record.name, text=str(record.msg)[:LIBRARY_LETTERS], exc_info=record.exc_info)


def set_up(level: str, out: TextIO, file: RotatingFile | None = None) -> LineWriter:
    """Send structlog's lines, and warnings of libraries, to `out` and the file; the caller closes the writer."""
    writer = LineWriter(out, file)
    logging.basicConfig(handlers=[_Libraries()], level=logging.WARNING, force=True)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=False,
    )
    return writer


def _to_json(value: object, **_: Any) -> str:
    return json_bytes(value).decode()
