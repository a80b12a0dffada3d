"""One run of code or of a command: its output, its clock, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cellblock_cell.call import Call
from cellblock_cell.channel import HostLink
from cellblock_cell.link import Frame, Kind, pieces
from cellblock_cell.loop import Loop, Timer
from cellblock_cell.output import Budget, Stream

ERRORS_BYTES = 64 * 1024  # of stderr that are kept beyond the limit: what went wrong must not drown in what was printed
GRACE_SECONDS = 2.0  # between the polite signal and SIGKILL
_EXIT_CODES = {"timeout": 124, "canceled": 130}

Outcome = Literal["done", "timeout", "canceled", "killed"]


@dataclass(frozen=True, slots=True)
class Stop:
    """How to end what runs: by a signal it may handle, then by force."""

    ask: Callable[[], None]
    force: Callable[[], None]


class Run:
    """Sends DATA frames as output comes, and exactly one RESULT frame."""

    def __init__(self, loop: Loop, link: HostLink, call: Call) -> None:
        self.call = call
        self._loop = loop
        self._link = link
        self._budget = Budget(call.integer("output_bytes"))
        self._errors = Budget(ERRORS_BYTES)
        self._dropped_bytes = 0
        self._timeout_seconds = call.seconds("timeout_seconds")
        self._started = time.monotonic()
        self._stop: Stop | None = None
        self._stopped: Outcome | None = None
        self._timer: Timer | None = None

    @property
    def is_stopping(self) -> bool:
        """Whether the time was over or the host canceled."""
        return self._stopped is not None

    def start(self, stop: Stop) -> None:
        """The clock runs from here on."""
        self._started = time.monotonic()
        self._stop = stop
        self._timer = self._loop.call_after(self._timeout_seconds, lambda: self._end_early("timeout"))

    def write(self, stream: Stream, data: bytes) -> None:
        """Pass on what was printed, as far as the limit allows."""
        kept = self._budget.take(data)
        if stream == "stderr":
            kept += self._errors.take(data[len(kept) :])
        self._dropped_bytes += len(data) - len(kept)
        for piece in pieces(kept):
            self._link.send(Frame(Kind.DATA, self.call.number, {"stream": stream}, piece))

    def cancel(self) -> None:
        """The host no longer waits for more than the end."""
        if self._stop is None:
            self._stopped = "canceled"
            self.finish(0)
        else:
            self._end_early("canceled")

    def finish(self, exit_code: int, *, outcome: Outcome = "done", note: str = "") -> None:
        """Send the result; what stopped the run decides the outcome before how the process ended."""
        if self._timer is not None:
            self._timer.cancel()
        ended = self._stopped or outcome
        meta: dict[str, str | int | float | bool | None] = {
            "exit_code": _EXIT_CODES.get(ended, exit_code),
            "seconds": time.monotonic() - self._started if self._stop else 0.0,
            "dropped_bytes": self._dropped_bytes,
            "outcome": ended,
            "note": note,
        }
        self._link.send(Frame(Kind.RESULT, self.call.number, {**meta}))

    def _end_early(self, outcome: Outcome) -> None:
        if self._stopped is not None or self._stop is None or self._timer is None:
            return
        self._stopped = outcome
        self._timer.cancel()
        self._timer = self._loop.call_after(GRACE_SECONDS, self._stop.force)
        self._stop.ask()
