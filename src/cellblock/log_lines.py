"""One JSON object a line on standard error, written by a thread so that a reader who stops reading stops nobody else."""

from __future__ import annotations

import logging
import queue
import threading
from typing import Any, TextIO

import structlog

from cellblock.wire.encoding import json_bytes

KEPT_LINES = 10_000
CLOSE_SECONDS = 2.0
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class LineWriter:
    """Takes lines without waiting; past its bound they are dropped and counted."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lines: queue.Queue[str | None] = queue.Queue(KEPT_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log writer", daemon=True)
        self._thread.start()

    def msg(self, line: str) -> None:
        """One line."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    log = debug = info = warning = error = critical = exception = msg

    def close(self) -> None:
        """Write what waits, for a bounded time."""
        try:
            self._lines.put(None, timeout=CLOSE_SECONDS)
        except queue.Full:
            return
        self._thread.join(CLOSE_SECONDS)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            dropped, self._dropped = self._dropped, 0
            if dropped:
                line = f'{{"event":"log lines dropped","level":"warning","count":{dropped}}}\n{line}'
            try:
                self._out.write(f"{line}\n")
                if self._lines.empty():
                    self._out.flush()
            except (OSError, ValueError):
                return  # nobody can be told that standard error is closed


def set_up(level: str, out: TextIO) -> LineWriter:
    """Send structlog's lines to `out`; the caller closes the writer."""
    writer = LineWriter(out)
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
