"""The sessions that are alive on this server: their cells, their ends, and the clock that ends them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from cellblock.errors import CellEnded, QuotaExceeded, ServerStopping, SessionNotActive
from cellblock.machine.clock import Clock
from cellblock.model.calls import NO_GRANTS, Cell, CellLimits, Grants
from cellblock.model.happenings import SessionEnd
from cellblock.model.resources import Session, now
from cellblock.model.usage import CallFacts, Owner
from cellblock.sessions.endings import Endings
from cellblock.sessions.metering import Metering
from cellblock.sessions.meters import SessionMeter
from cellblock.sessions.pools import Pools
from cellblock.sessions.room import Room
from cellblock.store.protocol import Store

OPENING_SECONDS = 5.0  # a call waits so long for the cell of a session whose name its client has from another server of the cluster
EXPIRY_GRACE_SECONDS = 3.0  # a run gets its time-out at the session's end; this lets its result leave
STOPPED = "stopped"
SERVER_STOPPED = "server stopped"
SERVER_DIED = "server restarted: the one that ran it had died"

_log = structlog.get_logger("cellblock.sessions")


@dataclass(slots=True, eq=False)
class LiveSession:
    """A session with its cell; it ends once."""

    record: Session
    cell: Cell
    meter: SessionMeter
    began_at: float
    ends_at: float
    running: int = 0
    end_reason: str = ""
    ended_at: datetime | None = None
    is_idle: asyncio.Event = field(default_factory=asyncio.Event)
    watch: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.is_idle.set()

    def mark_ended(self, reason: str) -> None:
        """The first reason stays."""
        if not self.end_reason:
            self.end_reason = reason
            self.ended_at = now()

    def as_known(self, stored: Session) -> Session:
        """The store's record of this session; the end is known here a moment before it is there."""
        if not self.end_reason or stored.state == "TERMINATED":
            return stored
        return replace(stored, state="TERMINATED", end_reason=self.end_reason, ended_at=self.ended_at)

    def not_active(self) -> SessionNotActive:
        """The error for a call that comes too late."""
        return SessionNotActive(self.record.id, end_reason=self.end_reason, ended_at=self.ended_at)


class LiveSessions:
    """Owns the cells of all live sessions; a cell that is in here is closed by here."""

    def __init__(
        self, store: Store, pool: Pools, clock: Clock, *, metering: Metering, room: Room, on_end: Callable[[SessionEnd], None]
    ) -> None:
        self._metering = metering
        self._room = room
        self._on_end = on_end
        self._ends = Endings(store, clock)
        self._pool = pool
        self._clock = clock
        self._live: dict[str, LiveSession] = {}
        self._opening: dict[str, asyncio.Event] = {}
        self._taking = 0  # sessions that have room here and no cell yet
        self._endings: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()  # wakes the reaper: a session that may end sooner has come
        self._call_ended = asyncio.Event()
        self._reaper: asyncio.Task[None] | None = None
        self._draining = False

    @property
    def count(self) -> int:
        """How many sessions live here."""
        return len(self._live)

    @property
    def is_draining(self) -> bool:
        """Whether the server is on its way out and takes nothing new."""
        return self._draining

    def start(self) -> None:
        """Start the reaper; `close` ends it."""
        self._reaper = asyncio.create_task(self._reap(), name="session reaper")

    @contextmanager
    def opening(self, session_id: str) -> Iterator[None]:
        """While a session is being made, so that a call that comes at once waits for it."""
        done = self._opening[session_id] = asyncio.Event()
        try:
            yield
        finally:
            del self._opening[session_id]
            done.set()

    async def open(
        self, record: Session, limits: CellLimits, *, owner: Owner, grants: Grants = NO_GRANTS, wanted_as: str | None = None
    ) -> None:  # fmt: skip
        """Let a session live in a cell of its own until its time is over. Raises HostNotReady, and Throttled when the server stops."""
        self.refuse_when_draining()
        self._room.admit(len(self._live) + self._taking, wanted_as or record.id)
        self._taking += 1
        try:
            cell = await self._pool.take(limits, grants)
        finally:
            self._taking -= 1
        if self._draining:
            await cell.close()
            self.refuse_when_draining()
        time = self._clock.now()
        meter = self._metering.open(owner, cell)
        session = LiveSession(record, cell, meter, time, time + record.timeout_seconds)
        self._live[record.id] = session
        session.watch = asyncio.create_task(self._end_with_cell(session), name=f"watch {record.id}")
        self._changed.set()

    def all(self) -> list[LiveSession]:
        """Those that live at this moment."""
        return list(self._live.values())

    async def discard_record(self, session_id: str) -> None:
        """Undo the creation of a session that could not be opened."""
        await self._ends.discard(session_id)

    def find(self, session_id: str) -> LiveSession | None:
        """The session, if it lives on this server."""
        return self._live.get(session_id)

    async def find_soon(self, session_id: str) -> LiveSession | None:
        """The same, after a wait for one that is being made."""
        if opening := self._opening.get(session_id):
            await self._clock.wait(opening, self._clock.now() + OPENING_SECONDS)
        return self.find(session_id)

    def age_seconds(self, session: LiveSession) -> float:
        """How long the session has lived."""
        return self._clock.now() - session.began_at

    def seconds_left(self, session: LiveSession) -> float:
        """How long the session will live."""
        return max(0.0, session.ends_at - self._clock.now())

    @asynccontextmanager
    async def use(self, session: LiveSession, facts: CallFacts) -> AsyncIterator[Cell]:
        """The session's cell for one call. Raises SessionNotActive, also when it ends meanwhile, and QuotaExceeded."""
        self.refuse_when_draining()
        if session.ends_at <= self._clock.now() and not session.end_reason:
            self._expire_soon(session)  # the reaper has not had its turn yet
        if session.end_reason:
            raise session.not_active()
        if session.running >= self._room.calls_at_once:
            found = f"session {session.record.id} has {session.running} calls under way; wait for one to end"
            setting = "CELLBLOCK_MAX_CALLS_PER_SESSION"
            raise QuotaExceeded.of("Concurrent calls per session", self._room.calls_at_once, found=found, setting=setting)
        session.running += 1
        session.is_idle.clear()
        call = self._metering.begin_call(session.meter, facts)
        try:
            yield session.cell
        except CellEnded as error:
            await self.end(session, error.reason)
            raise session.not_active() from error
        finally:
            self._metering.end_call(session.meter, call)
            self._call_over(session)

    async def end(self, session: LiveSession, reason: str) -> None:
        """End a session for this reason, unless it ended before, and wait until nothing of it is left."""
        if not session.end_reason:
            session.mark_ended(reason)
            await self._ends.end(session.record.id, reason)
            self._tell_end(session)
        await self._discard(session)

    async def close_stopped(self, session_id: str) -> None:
        """Close the cell of a session that the store has as stopped, and wait until nothing of it is left."""
        if session := self._live.get(session_id):
            if not session.end_reason:
                session.mark_ended(STOPPED)
                self._tell_end(session)
            await self._discard(session)

    def refuse_when_draining(self) -> None:
        """Raises Throttled, which clients answer with a later attempt."""
        if self._draining:
            raise ServerStopping

    def begin_draining(self) -> None:
        """Take no new session and no new call from here on."""
        self._draining = True

    async def wait_idle(self, seconds: float) -> None:
        """Wait until no call runs, at most so long."""
        until = self._clock.now() + seconds
        while any(session.running for session in self._live.values()) and self._clock.now() < until:
            self._call_ended.clear()
            await self._clock.wait(self._call_ended, until)

    async def close(self, reason: str) -> None:
        """End every session and the reaper."""
        self.begin_draining()
        if self._reaper is not None:
            self._reaper.cancel()
            await asyncio.gather(self._reaper, return_exceptions=True)
        await asyncio.gather(*self._endings, *(self.end(session, reason) for session in list(self._live.values())))
        await self._ends.close()

    def _tell_end(self, session: LiveSession, *, is_expiry: bool = False) -> None:
        _log.info("session ended", session=session.record.id, cell=session.cell.name, reason=session.end_reason)
        seconds = self._clock.now() - session.began_at
        self._on_end(SessionEnd(session=session.record, reason=session.end_reason, is_expiry=is_expiry, seconds=seconds))

    async def _discard(self, session: LiveSession) -> None:
        await session.cell.close()
        self._metering.close_session(session.meter)
        if session.watch is not None and session.watch is not asyncio.current_task():
            session.watch.cancel()
        self._live.pop(session.record.id, None)

    def _call_over(self, session: LiveSession) -> None:
        session.running -= 1
        self._call_ended.set()
        if session.running == 0:
            session.is_idle.set()

    async def _end_with_cell(self, session: LiveSession) -> None:
        reason = await session.cell.wait_ended()
        await self.end(session, reason)

    async def _reap(self) -> None:
        while True:
            self._changed.clear()
            time = self._clock.now()
            for session in [one for one in self._live.values() if one.ends_at <= time and not one.end_reason]:
                self._expire_soon(session)
            await self._clock.wait(self._changed, self._next_end())

    def _next_end(self) -> float | None:
        return min((one.ends_at for one in self._live.values() if not one.end_reason), default=None)

    def _expire_soon(self, session: LiveSession) -> None:
        session.mark_ended(f"expired: its lifetime of {session.record.timeout_seconds} seconds was over")
        ending = asyncio.create_task(self._expire(session), name=f"expire {session.record.id}")
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def _expire(self, session: LiveSession) -> None:
        await self._ends.end(session.record.id, session.end_reason)
        self._tell_end(session, is_expiry=True)
        await self._clock.wait(session.is_idle, self._clock.now() + EXPIRY_GRACE_SECONDS)
        await self._discard(session)
