"""Nodes that are to be given back: drained by us, watched until they are empty."""

from __future__ import annotations

from collections.abc import Sequence

from cellblock.cluster.scaling import Load
from cellblock.errors import NodeNotFound
from cellblock.model.resources import ClusterNode
from cellblock.store.protocol import ClusterStore


class Retiring:
    """Knows since when a node has had no session, and which of the draining ones were drained here and not by a person."""

    def __init__(self, store: ClusterStore) -> None:
        self._store = store
        self._idle_since: dict[str, float] = {}
        self._drained: set[str] = set()

    def loads(self, nodes: Sequence[ClusterNode], time: float) -> list[Load]:
        """Those that take sessions."""
        idle = [node.id for node in nodes if not node.figures.sessions]
        self._idle_since = {node_id: self._idle_since.get(node_id, time) for node_id in idle}
        self._drained &= {node.id for node in nodes}
        return [self._load(node, time) for node in nodes if node.state == "READY"]

    async def drain(self, node_id: str) -> None:
        """From now on it gets no new session."""
        try:
            await self._store.drain_node(node_id)
        except NodeNotFound:
            return  # it has ended meanwhile
        self._drained.add(node_id)

    async def empty(self, nodes: Sequence[ClusterNode]) -> list[ClusterNode]:
        """Of those drained here, those whose last session is over; counted in the table, which is never behind."""
        draining = [node for node in nodes if node.id in self._drained and node.state == "DRAINING"]
        return [node for node in draining if not await self._store.count_node_sessions(node.id)]

    def _load(self, node: ClusterNode, time: float) -> Load:
        idle = time - self._idle_since.get(node.id, time)
        return Load(id=node.id, capacity=node.figures.sessions_capacity, live=node.figures.sessions, idle_seconds=idle)
