"""A node's place in the cluster: joins the table, beats every second, and hears whether it is drained or taken for lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from cellblock.cluster.names import refuse_taken_name
from cellblock.errors import StoreUnavailable
from cellblock.machine.clock import Clock
from cellblock.model.resources import ClusterNode, NodeFigures
from cellblock.store.protocol import ClusterStore

BEAT_SECONDS = 1.0
LEAVE_SECONDS = 5.0

_log = structlog.get_logger("cellblock.cluster")


class Host(Protocol):
    """What the lease tells: the node's own server."""

    def take_sessions(self, is_open: bool) -> None:
        """Take new sessions, or none."""
        ...

    def lost(self) -> None:
        """Others have ended this node: what lives here must end too."""
        ...

    async def end_sessions(self, reason: str) -> None:
        """End every session that lives here."""
        ...


class Lease:
    """One incarnation of a node."""

    def __init__(self, store: ClusterStore, clock: Clock, *, host: Host, figures: Callable[[], NodeFigures], alone_seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._host = host
        self._figures = figures
        self._alone_seconds = alone_seconds
        self._node_id = ""
        self._heard_at = 0.0
        self._is_alone = False
        self._beating: asyncio.Task[None] | None = None

    async def join(self, node: ClusterNode) -> None:
        """From here on front ends find it. Raises StoreUnavailable, and CommandFailed when another machine has the name."""
        await refuse_taken_name(self._store, self._clock, node)
        self._node_id = node.id
        ended = await self._store.join_node(node)
        self._heard_at = self._clock.now()
        _log.info("joined", node=node.name, id=node.id, url=node.url, sessions_of_before=ended)
        self._beating = asyncio.create_task(self._beat(), name="beat")

    async def leave(self, reason: str) -> None:
        """It is over; what is not told to the database now, front ends see by the missing beat."""
        if self._beating is None:
            return
        self._beating.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._store.leave_node(self._node_id, reason)
        except (StoreUnavailable, TimeoutError) as error:
            _log.error("left without a word: the database does not answer", reason=str(error))

    async def _beat(self) -> None:
        """The first at once, so that front ends see its figures."""
        is_lost = False
        while not is_lost:
            is_lost = await self._is_lost_after_a_beat()
            await self._clock.wait(asyncio.Event(), self._clock.now() + BEAT_SECONDS)

    async def _is_lost_after_a_beat(self) -> bool:
        try:
            state = await self._store.beat_node(self._node_id, self._figures())
        except StoreUnavailable as error:
            await self._without_store(error)
            return False
        except Exception:
            _log.exception("a beat failed")
            return False
        self._heard_at, self._is_alone = self._clock.now(), False
        if state in ("READY", "DRAINING"):
            self._host.take_sessions(state == "READY")
            return False
        _log.error("this node was taken for lost: its sessions end, and it joins again", id=self._node_id)
        self._host.lost()
        return True

    async def _without_store(self, error: StoreUnavailable) -> None:
        """For a while sessions go on; then nobody can know about them any more."""
        silent = self._clock.now() - self._heard_at
        if silent < self._alone_seconds or self._is_alone:
            return
        self._is_alone = True
        _log.error("the database has not answered for too long: all sessions end", seconds=round(silent), reason=error.message)
        await self._host.end_sessions(f"its node could not reach the database for {silent:.0f} seconds")
