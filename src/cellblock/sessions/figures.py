"""What lives on this server at this moment, and what it uses: for metrics and for the operator."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from cellblock.model.calls import CellUsage, Node, NodeState
from cellblock.model.resources import Session
from cellblock.sessions.live import LiveSession, LiveSessions
from cellblock.sessions.pools import Pools


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFigures:
    """A live session; without usage when it ends at this moment."""

    session: Session
    age_seconds: float
    seconds_left: float
    calls: int
    usage: CellUsage | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFigures:
    """The server and all its live sessions."""

    sessions: tuple[SessionFigures, ...]
    pool_cells: int
    pool_size: int
    node: NodeState
    is_draining: bool


class LiveFigures:
    """Reads the figures; holds nothing."""

    def __init__(self, live: LiveSessions, pool: Pools, node: Node) -> None:
        self._live = live
        self._pool = pool
        self._node = node

    def live_count(self) -> int:
        """How many sessions live here."""
        return self._live.count

    @property
    def pool_ready(self) -> int:
        """How many cells wait for a session."""
        return self._pool.ready_count

    @property
    def pool_size(self) -> int:
        """How many cells wait when the pool is full."""
        return self._pool.size

    @property
    def trouble(self) -> str:
        """Why a new session would fail; the empty string when it would not."""
        if self._live.is_draining:
            return "the server is stopping"
        return "no cell can be opened" if self._pool.is_failing else ""

    async def read(self) -> ServerFigures:
        """The figures; the host's are read in a thread."""
        sessions = self._live.all()
        usages = await asyncio.to_thread(lambda: [session.cell.usage() for session in sessions])
        return ServerFigures(
            sessions=tuple(self._of(session, usage) for session, usage in zip(sessions, usages, strict=True)),
            pool_cells=self._pool.ready_count,
            pool_size=self._pool.size,
            node=self._node.state(),
            is_draining=self._live.is_draining,
        )

    def _of(self, session: LiveSession, usage: CellUsage | None) -> SessionFigures:
        return SessionFigures(
            session=session.record,
            age_seconds=self._live.age_seconds(session),
            seconds_left=self._live.seconds_left(session),
            calls=session.running,
            usage=usage,
        )
