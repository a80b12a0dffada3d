"""Cells wait for sessions of each network that was asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cellblock.model.calls import CellLimits, Grants
from cellblock.model.network_grants import INTERNET, AllowedDomain, NetworkGrant
from cellblock.sessions.pool import PoolBounds
from cellblock.sessions.pools import MOST_KINDS, Pools
from service.fake_clock import FakeClock
from service.fake_node import FakeNode
from service.served import until

LIMITS = CellLimits(memory_bytes=1, process_count=1, cpus=1, workspace_bytes=1, tmp_bytes=1)
PUBLIC = dataclasses.replace(LIMITS, network=INTERNET)


@asynccontextmanager
async def started(node: FakeNode) -> AsyncIterator[Pools]:
    pools = Pools(node, LIMITS, PoolBounds(least=1, most=1), FakeClock())
    await pools.start()
    try:
        yield pools
    finally:
        await pools.close()


async def test_the_second_session_of_mode_public_finds_a_cell_waiting() -> None:
    node = FakeNode()
    async with started(node) as pools:
        first = await pools.take(PUBLIC)
        await until(lambda: pools.ready_count == 2)
        opened = len(node.cells)
        second = await pools.take(PUBLIC)
        assert second in node.cells[:opened]
        assert second is not first


async def test_cells_of_one_network_never_serve_another() -> None:
    node = FakeNode()
    async with started(node) as pools:
        await pools.take(PUBLIC)
        await until(lambda: pools.ready_count == 2)
        taken = await pools.take(LIMITS)
        assert taken.name == "cell-1", "the one that waited from the start"


async def test_a_session_with_limits_or_grants_of_its_own_has_a_cell_opened_for_it() -> None:
    node = FakeNode()
    async with started(node) as pools:
        await pools.take(dataclasses.replace(PUBLIC, memory_bytes=2))
        await pools.take(LIMITS, Grants(role_arn="arn"))
        assert [cell.name for cell in node.cells] == ["cell-1", "cell-2", "cell-3"]
        assert pools.ready_count == 1


async def test_only_so_many_networks_have_cells_waiting() -> None:
    node = FakeNode()
    async with started(node) as pools:
        for number in range(MOST_KINDS + 3):
            await pools.take(dataclasses.replace(LIMITS, network=_allow_list(number)))
        await until(lambda: pools.ready_count == 1 + MOST_KINDS)
        assert pools.size == 1 + MOST_KINDS


async def test_closing_ends_every_cell_that_waits() -> None:
    node = FakeNode()
    async with started(node) as pools:
        taken = await pools.take(PUBLIC)
        await until(lambda: pools.ready_count == 2)
    assert node.open_cells == {taken}


def _allow_list(number: int) -> NetworkGrant:
    return NetworkGrant(mode="VPC", domains=(AllowedDomain(name=f"{number}.example"),))
