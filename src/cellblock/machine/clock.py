"""The one clock that sessions live by; a test brings its own."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Time that only goes forward, and a wait that ends by it."""

    def now(self) -> float:
        """Seconds since an arbitrary start."""
        ...

    async def wait(self, event: asyncio.Event, until: float | None) -> None:
        """Wait for the event, but not past `until`; None waits for the event alone."""
        ...


class MonotonicClock:
    """The kernel's monotonic clock."""

    def now(self) -> float:
        """Seconds since an arbitrary start."""
        return time.monotonic()

    async def wait(self, event: asyncio.Event, until: float | None) -> None:
        """Wait for the event, but not past `until`."""
        try:
            async with asyncio.timeout(None if until is None else max(0.0, until - self.now())):
                await event.wait()
        except TimeoutError:
            return
