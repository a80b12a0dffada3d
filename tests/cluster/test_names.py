"""A node's name is one machine's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cellblock.cluster.names import LOOK_AGAIN_SECONDS, refuse_taken_name
from cellblock.errors import CommandFailed
from cellblock.model.resources import ClusterNode, NodeFigures
from cellblock.store.sqlite import SqliteStore
from service.fake_clock import FakeClock

TIME = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "data")
    await opened.join_node(oak("OLD"))
    yield opened
    await opened.close()


def oak(node_id: str, url: str = "http://10.0.0.1:8081") -> ClusterNode:
    return ClusterNode(id=node_id, name="oak", url=url, started_at=TIME, seen_at=TIME)


async def joining(store: SqliteStore, clock: FakeClock) -> asyncio.Task[None]:
    """A newcomer of the same name, that waits for a sign of life of the other."""
    task = asyncio.create_task(refuse_taken_name(store, clock, oak("NEW", "http://10.0.0.2:8081")))
    until = clock.now() + LOOK_AGAIN_SECONDS
    async with asyncio.timeout(10):
        while not clock.waits_until(until):
            await asyncio.to_thread(bool)
    return task


async def test_name_of_a_machine_that_lives_is_refused(store: SqliteStore) -> None:
    clock = FakeClock()
    newcomer = await joining(store, clock)
    await store.beat_node("OLD", NodeFigures())
    clock.advance(LOOK_AGAIN_SECONDS)
    with pytest.raises(CommandFailed, match=r"another machine is node oak \(http://10.0.0.1:8081\).*CELLBLOCK_NODE_NAME"):
        await newcomer
    assert (await store.list_nodes())[0].state == "READY"


async def test_name_of_a_machine_that_died_is_free(store: SqliteStore) -> None:
    clock = FakeClock()
    newcomer = await joining(store, clock)
    clock.advance(LOOK_AGAIN_SECONDS)
    await newcomer


async def test_name_is_free_at_once_on_the_address_that_it_had(store: SqliteStore) -> None:
    async with asyncio.timeout(10):
        await refuse_taken_name(store, FakeClock(), oak("NEW"))


async def test_name_of_a_node_that_has_ended_is_free_at_once(store: SqliteStore) -> None:
    await store.end_node("OLD", "it was lost")
    async with asyncio.timeout(10):
        await refuse_taken_name(store, FakeClock(), oak("NEW", "http://10.0.0.2:8081"))
