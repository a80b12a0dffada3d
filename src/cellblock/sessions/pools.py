"""A pool for each kind of network: that of most sessions from the start, others from the first session on that asks for them."""

from __future__ import annotations

import asyncio
import dataclasses

from cellblock.machine.clock import Clock
from cellblock.model.calls import NO_GRANTS, Cell, CellLimits, Grants, Node
from cellblock.model.network_grants import NetworkGrant
from cellblock.sessions.pool import Pool, PoolBounds

MOST_KINDS = 4  # of networks with waiting cells; each allow-list of VPC is one


class Pools:
    """What sessions take their cells from."""

    def __init__(self, node: Node, limits: CellLimits, bounds: PoolBounds, clock: Clock) -> None:
        self._node = node
        self._limits = limits
        self._bounds = bounds
        self._clock = clock
        self._first = Pool(node, limits, bounds, clock)
        self._others: dict[NetworkGrant, Pool] = {}

    @property
    def ready_count(self) -> int:
        """How many cells wait for a session."""
        return self._first.ready_count + sum(pool.ready_count for pool in self._others.values())

    @property
    def size(self) -> int:
        """How many cells wait when all are full."""
        return self._first.size + sum(pool.size for pool in self._others.values())

    @property
    def is_failing(self) -> bool:
        """Whether the last cell of the usual kind could not be opened."""
        return self._first.is_failing

    async def start(self) -> None:
        """See `Pool.start`."""
        await self._first.start()

    async def take(self, limits: CellLimits, grants: Grants = NO_GRANTS) -> Cell:
        """A cell that has run nothing; the caller closes it. Raises HostNotReady."""
        pool = self._pool_for(limits) if grants.is_empty else None
        return await (self._node.open_cell(limits, grants) if pool is None else pool.take())

    async def close(self) -> None:
        """Close all of them."""
        await asyncio.gather(*(pool.close() for pool in (self._first, *self._others.values())))

    def _pool_for(self, limits: CellLimits) -> Pool | None:
        if limits == self._limits:
            return self._first
        if dataclasses.replace(limits, network=self._limits.network) != self._limits:
            return None
        found = self._others.get(limits.network)
        if found is None and len(self._others) < MOST_KINDS:
            found = self._others[limits.network] = Pool(self._node, limits, self._bounds, self._clock)
            found.begin()
        return found
