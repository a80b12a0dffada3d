"""Which nodes there are, as one front end sees it: reads the table every second and ends those whose beat has stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from cellblock.cluster.placement import NodeView
from cellblock.errors import StoreUnavailable
from cellblock.machine.clock import Clock
from cellblock.model.resources import ClusterNode
from cellblock.store.protocol import ClusterStore

LOOK_SECONDS = 1.0
LEAST_LOOK_SECONDS = 0.2  # between looks that requests ask for
GAP_SECONDS = 3.0  # between two looks: one that was away so long itself cannot say that nodes were
STALE_SECONDS = 3.0  # without a beat: nothing new is placed there
SUSPECT_SECONDS = 3.0  # after a connection failed
FULL_SECONDS = 1.0  # after a node said that it is full; its next figures tell more

_log = structlog.get_logger("cellblock.cluster")


@dataclass(slots=True)
class _Watched:
    """A node with what was seen of it, by this front end's clock."""

    node: ClusterNode
    beaten_at: float
    suspect_until: float = 0.0
    full_until: float = 0.0
    placed: int = 0  # sessions that were sent to it since its figures came


class Members:
    """The nodes that are not over. Owns the watch; `on_gone` is told of each node that is over, once."""

    def __init__(self, store: ClusterStore, clock: Clock, *, lost_seconds: float, on_gone: Callable[[ClusterNode, str], None]) -> None:
        self._store = store
        self._clock = clock
        self._lost_seconds = lost_seconds
        self._on_gone = on_gone
        self._watched: dict[str, _Watched] = {}
        self._looked_at: float | None = None  # None: the last look failed
        self._asked_at = -LEAST_LOOK_SECONDS
        self._looking = asyncio.Lock()  # guards the table: the watch and a request may look at once
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look, and go on looking until `close`."""
        await self._look()
        self._task = asyncio.create_task(self._watch(), name="watch nodes")

    async def close(self) -> None:
        """Watch no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def find(self, node_id: str) -> ClusterNode | None:
        """The node, unless it is over or was never seen."""
        watched = self._watched.get(node_id)
        return watched.node if watched else None

    async def find_soon(self, node_id: str) -> ClusterNode | None:
        """The same after another look: it may have come just now."""
        if self.find(node_id) is None:
            await self.look_soon()
        return self.find(node_id)

    async def look_soon(self) -> None:
        """Look now, for a request; for many that ask in the same moment there is one look."""
        if self._clock.now() - self._asked_at >= LEAST_LOOK_SECONDS:
            self._asked_at = self._clock.now()
            await self._look()
            return
        async with self._looking:
            pass

    def all(self) -> list[ClusterNode]:
        """Those that are not over."""
        return [watched.node for watched in self._watched.values()]

    def views(self, *, with_full: bool = False) -> list[NodeView]:
        """What placement needs to know; nodes that have just said that they are full are open only for `with_full`."""
        time = self._clock.now()
        return [self._view(watched, time, with_full=with_full) for watched in self._watched.values()]

    def placed(self) -> dict[str, int]:
        """What was sent to each since its figures came."""
        return {node_id: watched.placed for node_id, watched in self._watched.items() if watched.placed}

    def note_placed(self, node_id: str, count: int = 1) -> None:
        """A session is sent there; minus one when nothing came of it."""
        if watched := self._watched.get(node_id):
            watched.placed = max(0, watched.placed + count)

    def note_full(self, node_id: str) -> None:
        """It said that it takes nothing more for now."""
        if watched := self._watched.get(node_id):
            watched.full_until = self._clock.now() + FULL_SECONDS

    def note_unreachable(self, node_id: str) -> None:
        """A connection to it failed: whether it is lost, its beat will tell."""
        if watched := self._watched.get(node_id):
            watched.suspect_until = self._clock.now() + SUSPECT_SECONDS

    def _view(self, watched: _Watched, time: float, *, with_full: bool) -> NodeView:
        node, figures = watched.node, watched.node.figures
        is_fresh = self._looked_at is None or time - watched.beaten_at < STALE_SECONDS
        is_shut = time < watched.suspect_until or (time < watched.full_until and not with_full)
        return NodeView(
            id=node.id,
            name=node.name,
            capacity=figures.sessions_capacity,
            live=figures.sessions,
            is_open=node.state == "READY" and is_fresh and not is_shut,
        )

    async def _watch(self) -> None:
        while True:
            await self._clock.wait(asyncio.Event(), self._clock.now() + LOOK_SECONDS)
            try:
                await self._look()
                await self._end_the_lost()
            except Exception:
                _log.exception("the watch over the nodes failed")

    async def _look(self) -> None:
        async with self._looking:
            try:
                found = await self._store.list_nodes()
            except StoreUnavailable as error:
                if self._looked_at is not None:
                    _log.error("the nodes cannot be looked at; those that were known stay", reason=error.message)
                self._looked_at = None
                return
            self._take(found)

    def _take(self, found: tuple[ClusterNode, ...]) -> None:
        time = self._clock.now()
        is_gap = self._looked_at is None or time - self._looked_at > GAP_SECONDS
        self._looked_at = time
        for node in found:
            watched = self._watched.get(node.id)
            if watched is None:
                self._watched[node.id] = _Watched(node, time)
                _log.info("node seen", node=node.name, id=node.id, url=node.url)
                continue
            if node.beat != watched.node.beat:
                watched.beaten_at, watched.placed = time, 0
            elif is_gap:
                watched.beaten_at = time
            watched.node = node
        for gone in self._watched.keys() - {node.id for node in found}:
            self._forget(gone, "it was lost, or has left")

    async def _end_the_lost(self) -> None:
        if self._looked_at is None:
            return
        time = self._looked_at
        for watched in [one for one in self._watched.values() if time - one.beaten_at >= self._lost_seconds]:
            node, reason = watched.node, f"its node {watched.node.name} was lost"  # of its sessions
            try:
                ended = await self._store.end_node(node.id, reason)
            except StoreUnavailable:
                return  # it is tried again after the next look
            _log.error("node lost", node=node.name, id=node.id, sessions=ended)
            self._forget(node.id, "it was lost")

    def _forget(self, node_id: str, reason: str) -> None:
        watched = self._watched.pop(node_id, None)
        if watched is not None:
            _log.info("node gone", node=watched.node.name, id=node_id, reason=reason)
            self._on_gone(watched.node, reason)
