"""Rates over many servers: one account has one rate, calls seldom wait for the store, and its absence stops nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from cellblock.errors import StoreUnavailable, Throttled
from cellblock.model.resources import Granted, TokenWant
from cellblock.service.shared_throttle import AWAY_SECONDS, SharedThrottle
from cellblock.settings.table import Settings
from cellblock.store.protocol import ClusterStore
from cellblock.store.sqlite import SqliteStore
from service.fake_clock import FakeClock

INVOKE = "InvokeCodeInterpreter"


@dataclass
class Servers:
    """Servers with one store between them, whose clock is theirs."""

    store: SqliteStore
    clock: FakeClock
    settings: Settings
    asked: int = 0
    is_away: bool = False

    async def take_tokens(self, want: TokenWant) -> Granted:
        """Through to the store, counted."""
        self.asked += 1
        if self.is_away:
            raise StoreUnavailable("the database does not answer")
        return await self.store.take_tokens(want)

    def more(self, count: int) -> list[SharedThrottle]:
        return [SharedThrottle(self.settings, cast("ClusterStore", self), self.clock) for _ in range(count)]


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[Servers]:
    """A hundred calls a second, two hundred at one moment."""
    clock = FakeClock()
    store = await SqliteStore.open(tmp_path / "data", clock=lambda: datetime(2026, 1, 2, tzinfo=UTC) + timedelta(seconds=clock.now()))
    settings = Settings(
        data_dir=tmp_path, cache_dir=tmp_path, cluster="manual", store="postgresql://nobody@/none", call_rate=100.0, session_rate=0.0
    )
    yield Servers(store, clock, settings)
    await store.close()


async def admitted(throttle: SharedThrottle, count: int, *, urgency: float = 0.0, operation: str = INVOKE) -> int:
    """How many of so many requests at one moment are served."""
    served = 0
    for _ in range(count):
        try:
            await throttle.admit("a", operation, urgency=urgency)
        except Throttled:
            continue
        served += 1
    return served


async def test_two_servers_have_one_burst_and_one_rate(servers: Servers) -> None:
    one, two = servers.more(2)
    assert 190 <= await admitted(one, 150) + await admitted(two, 150) <= 200  # a server may have a few in hand
    servers.clock.advance(1)
    assert 90 <= await admitted(one, 150) + await admitted(two, 150) <= 100


async def test_calls_seldom_wait_for_the_store_and_refused_ones_hardly(servers: Servers) -> None:
    (one,) = servers.more(1)
    assert await admitted(one, 200) == 200
    assert servers.asked < 30
    servers.asked = 0
    assert await admitted(one, 1000) == 0
    assert servers.asked == 1


async def test_few_calls_at_each_of_many_servers_do_not_use_the_rate_up(servers: Servers) -> None:
    """Half of the rate in all: what a server takes and does not use is little."""
    throttles = servers.more(25)
    for _ in range(20):
        servers.clock.advance(0.5)
        assert [await admitted(one, 1) for one in throttles] == [1] * 25


async def test_last_attempts_draw_on_tokens_to_come_for_all_servers(servers: Servers) -> None:
    one, two = servers.more(2)
    assert await admitted(one, 300) == 200
    assert await admitted(one, 150, urgency=1.0) == 150
    assert await admitted(two, 150, urgency=1.0) == 50
    servers.clock.advance(2)
    assert await admitted(one, 10) == 0
    servers.clock.advance(1)
    assert await admitted(one, 10) == 10


async def test_claim_of_urgency_does_not_make_the_store_answer_each_time(servers: Servers) -> None:
    (one,) = servers.more(1)
    await admitted(one, 500, urgency=1.0)
    servers.asked = 0
    assert await admitted(one, 1000, urgency=1.0) == 0
    assert servers.asked == 0


async def test_own_buckets_decide_while_the_store_is_away(servers: Servers) -> None:
    (one,) = servers.more(1)
    assert await admitted(one, 300) == 200
    servers.clock.advance(1)
    servers.is_away, servers.asked = True, 0
    assert await admitted(one, 300) == 200
    assert servers.asked == 1
    servers.is_away = False
    servers.clock.advance(AWAY_SECONDS)
    assert await admitted(one, 300) == 200
    assert servers.asked > 1


async def test_rate_of_zero_asks_nobody(servers: Servers) -> None:
    (one,) = servers.more(1)
    assert await admitted(one, 1000, operation="StartCodeInterpreterSession") == 1000
    assert servers.asked == 0
