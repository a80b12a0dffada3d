"""A clock that moves only when a test moves it."""

from __future__ import annotations

import asyncio


class FakeClock:
    """Implements cellblock.machine.clock.Clock."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._waits: list[tuple[float, asyncio.Event]] = []

    def now(self) -> float:
        return self._now

    async def wait(self, event: asyncio.Event, until: float | None) -> None:
        if until is None:
            await event.wait()
            return
        if until <= self._now:
            await asyncio.sleep(0)
            return
        time_is_up = asyncio.Event()
        self._waits.append((until, time_is_up))
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(time_is_up.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def advance(self, seconds: float) -> None:
        self._now += seconds
        for until, time_is_up in self._waits:
            if until <= self._now:
                time_is_up.set()
        self._waits = [(until, time_is_up) for until, time_is_up in self._waits if until > self._now]

    def waits_until(self, when: float) -> bool:
        """Whether somebody waits for this time."""
        return any(until == when for until, _ in self._waits)
