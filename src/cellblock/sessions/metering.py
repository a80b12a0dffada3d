"""Measures what sessions use and keeps it in the store: beside the requests, not in their way.

A call reads one counter at its start and one at its end. Everything else is looked at once a second, in a thread; of a session that
has used no CPU time since, one counter is read, because its memory cannot have changed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime

import structlog

from cellblock.errors import CellblockError
from cellblock.machine.clock import Clock
from cellblock.model.calls import Cell, MemoryUse
from cellblock.model.resources import interpreter_arn, now
from cellblock.model.usage import SECONDS_AN_HOUR, CallFacts, CallUsage, Owner, SessionUsage
from cellblock.sessions.meters import CallMeter, SessionMeter
from cellblock.store.protocol import Store

LOOK_SECONDS = 1.0
REST = 20  # a look at all sessions is followed by a pause of so many times its length
FLUSH_SECONDS = 5.0
LIVE_FLUSH_SECONDS = 60.0  # what a server that is killed may lose of sessions that live
CALLS_KEPT = 100_000  # rows, while the database does not answer
BATCH = 500  # rows of one transaction, so that a start of a session never waits for a long one

_log = structlog.get_logger("cellblock.usage")


class Metering:
    """The meters of all live sessions, and the rows on their way to the store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._meters: set[SessionMeter] = set()
        self._has_sessions = asyncio.Event()
        self._calls: deque[CallUsage] = deque(maxlen=CALLS_KEPT)
        self._sessions: dict[tuple[str, str], SessionUsage] = {}
        self._flushing = asyncio.Lock()  # guards the rows that a flush has taken and may have to put back
        self._flushed_at = clock.now()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to look; `close` ends it."""
        self._task = asyncio.create_task(self._look_always(), name="metering")

    async def close(self) -> None:
        """Look no more and write what is left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    def open(self, owner: Owner, cell: Cell) -> SessionMeter:
        """Count a session from here on; what the cell used before was nobody's."""
        time, cpu, started_at = self._clock.now(), cell.cpu_seconds(), now()
        meter = SessionMeter(owner, cell, _day(started_at), started_at, looked_at=time, flushed_at=time, cpu_seconds=cpu, day_cpu_base=cpu)
        self._meters.add(meter)
        self._has_sessions.set()
        return meter

    def begin_call(self, meter: SessionMeter, facts: CallFacts) -> CallMeter:
        """A call starts in the session."""
        meter.count_cpu(meter.cell.cpu_seconds())
        call = CallMeter(facts, now(), self._clock.now(), meter.share)
        meter.running.add(call)
        meter.day_calls += 1
        return call

    def end_call(self, meter: SessionMeter, call: CallMeter) -> None:
        """It has ended; its row is written after the next look, which tells its memory."""
        meter.count_cpu(meter.cell.cpu_seconds())
        meter.running.discard(call)
        call.cpu_seconds = meter.share - call.share_at_start
        call.elapsed_seconds = self._clock.now() - call.began_at
        if meter in self._meters:
            meter.ended.append(call)
        else:
            self._calls.append(meter.call_row(call))

    def close_session(self, meter: SessionMeter) -> None:
        """The session's cell is closed: count the rest. May be called again."""
        if meter not in self._meters:
            return
        self._meters.discard(meter)
        meter.count_cpu(meter.cell.cpu_seconds())
        meter.saw(meter.cell.memory(), self._clock.now())
        self._calls.extend(meter.take_ended())
        self._keep(meter, is_over=True)

    async def look(self) -> None:
        """Look once at every session."""
        meters = list(self._meters)
        seen = await asyncio.to_thread(_read_all, meters)
        time, today = self._clock.now(), _day(now())
        for meter, (cpu, memory) in zip(meters, seen, strict=True):
            if meter not in self._meters:
                continue
            meter.count_cpu(cpu)
            meter.saw(memory, time)
            self._calls.extend(meter.take_ended())
            if meter.day != today:
                self._keep(meter)
                meter.begin_day(today)
            elif time - meter.flushed_at >= LIVE_FLUSH_SECONDS:
                meter.flushed_at = time
                self._keep(meter)

    async def flush(self) -> None:
        """Write the rows; those that the store does not take are kept for the next time."""
        async with self._flushing:
            self._flushed_at = self._clock.now()
            while self._calls or self._sessions:
                calls = [self._calls.popleft() for _ in range(min(BATCH, len(self._calls)))]
                sessions = [self._sessions.pop(key) for key in list(self._sessions)[:BATCH]]
                try:
                    await self._store.add_usage(calls, sessions)
                except BaseException as error:
                    self._calls.extendleft(reversed(calls))
                    self._sessions = {(row.session_id, row.day): row for row in sessions} | self._sessions
                    if not isinstance(error, CellblockError):
                        raise
                    _log.error("usage is not written yet", reason=error.message, calls=len(self._calls), sessions=len(self._sessions))
                    return

    def _keep(self, meter: SessionMeter, *, is_over: bool = False) -> None:
        row = meter.row(now(), is_over=is_over)
        self._sessions[row.session_id, row.day] = row
        if is_over:
            _log.info("usage", **log_fields(row))

    async def _look_always(self) -> None:
        while True:
            try:
                await self._look_or_wait()
            except Exception:
                _log.exception("sessions could not be measured")
                await self._clock.wait(asyncio.Event(), self._clock.now() + FLUSH_SECONDS)

    async def _look_or_wait(self) -> None:
        if not self._meters:
            self._has_sessions.clear()
            await self.flush()
            is_all_written = not self._calls and not self._sessions
            await self._clock.wait(self._has_sessions, None if is_all_written else self._clock.now() + FLUSH_SECONDS)
            return
        started = self._clock.now()
        await self.look()
        took = self._clock.now() - started
        if started - self._flushed_at >= FLUSH_SECONDS:
            await self.flush()
        await self._clock.wait(asyncio.Event(), started + max(LOOK_SECONDS, REST * took))


def log_fields(row: SessionUsage) -> dict[str, object]:
    """A row in the words of AWS's usage log."""
    return {
        "event_timestamp": row.updated_at.isoformat(),
        "resource_arn": interpreter_arn(row.interpreter_id, region=row.region, account=row.account),
        "service.name": "AgentCore.CodeInterpreter",
        "account.id": row.account,
        "region": row.region,
        "resource.id": row.interpreter_id,
        "session.id": row.session_id,
        "elapsed_time_seconds": round(row.elapsed_seconds, 6),
        "codeInterpreter.vcpu.hours.used": row.cpu_seconds / SECONDS_AN_HOUR,
        "codeInterpreter.memory.gb_hours.used": row.memory_gb_seconds / SECONDS_AN_HOUR,
    }


def _read_all(meters: list[SessionMeter]) -> list[tuple[float, MemoryUse | None]]:
    return [_read(meter) for meter in meters]


def _read(meter: SessionMeter) -> tuple[float, MemoryUse | None]:
    """CPU time, and the memory of a session that has run since the last look."""
    known, cpu = meter.cpu_seconds, meter.cell.cpu_seconds()
    is_idle = cpu == known and meter.memory_bytes and not meter.running and not meter.ended
    return cpu, None if is_idle else meter.cell.memory()


def _day(time: datetime) -> str:
    return time.date().isoformat()
