"""Ends of sessions while the database is away."""

from __future__ import annotations

import asyncio

from cellblock.errors import StoreUnavailable
from cellblock.sessions.endings import RETRY_SECONDS, Endings
from service.fake_clock import FakeClock
from service.served import until


class AwayStore:
    """A store that counts how often it is asked, and remembers what it was told while it was there."""

    def __init__(self) -> None:
        self.is_away = True
        self.tries = 0
        self.told: list[str] = []

    async def end_session(self, session_id: str, reason: str) -> bool:
        self.tries += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreUnavailable("away")
        self.told.append(session_id)
        return True


async def test_ends_are_told_when_the_database_is_back_and_one_try_finds_out_that_it_is_away() -> None:
    store, clock = AwayStore(), FakeClock()
    endings = Endings(store, clock)  # type: ignore[arg-type]
    await asyncio.gather(*(endings.end(f"session-{number}", "expired") for number in range(50)))
    assert store.tries == 1
    store.is_away = False
    await until(lambda: clock.waits_until(clock.now() + RETRY_SECONDS))
    clock.advance(RETRY_SECONDS)
    await until(lambda: len(store.told) == 50)
    await endings.end("later", "stopped")
    assert store.told[-1] == "later"
    await endings.close()


async def test_last_try_is_made_when_the_server_stops() -> None:
    store = AwayStore()
    endings = Endings(store, FakeClock())  # type: ignore[arg-type]
    await endings.end("session", "server stopped")
    store.is_away = False
    await endings.close()
    assert store.told == ["session"]
