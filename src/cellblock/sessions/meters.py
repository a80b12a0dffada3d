"""What one session and one call have used so far: arithmetic, no waiting."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cellblock.model.calls import Cell, MemoryUse
from cellblock.model.usage import GIB, LEAST_BYTES, LEAST_SECONDS, CallFacts, CallUsage, Owner, SessionUsage, billed_gb_seconds


@dataclass(slots=True, eq=False)
class CallMeter:
    """One call under way."""

    facts: CallFacts
    started_at: datetime
    began_at: float
    share_at_start: float
    elapsed_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


@dataclass(slots=True, eq=False)
class SessionMeter:
    """One session: `share` is the CPU time that each call would have that ran from its beginning on."""

    owner: Owner
    cell: Cell
    day: str
    started_at: datetime
    looked_at: float
    cpu_seconds: float
    share: float = 0.0
    memory_bytes: int = 0
    known_peak: int = 0
    day_peak: int = 0
    day_elapsed: float = 0.0
    day_byte_seconds: float = 0.0
    day_cpu_base: float = 0.0
    day_calls: int = 0
    flushed_at: float = 0.0
    running: set[CallMeter] = field(default_factory=set)
    ended: list[CallMeter] = field(default_factory=list)  # since the last look, which tells their memory

    def count_cpu(self, cpu_seconds: float) -> None:
        """Bring CPU time up to what the cell has used; the calls that run share what was used since."""
        used = cpu_seconds - self.cpu_seconds
        if used <= 0:
            return  # a look that was overtaken by a call's end
        self.cpu_seconds = cpu_seconds
        if self.running:
            self.share += used / len(self.running)

    def saw(self, memory: MemoryUse | None, time: float) -> None:
        """Count the memory since the last look at its peak: the kernel's own mark where that has risen since."""
        if memory is not None:
            peak = max(self.memory_bytes, memory.now_bytes, memory.peak_bytes if memory.peak_bytes > self.known_peak else 0)
            self.known_peak, self.memory_bytes = max(self.known_peak, memory.peak_bytes), memory.now_bytes
        else:
            peak = self.memory_bytes
        seconds, self.looked_at = time - self.looked_at, time
        self.day_elapsed += seconds
        self.day_byte_seconds += seconds * max(peak, LEAST_BYTES)
        self.day_peak = max(self.day_peak, peak)
        for call in (*self.running, *self.ended):
            call.peak_bytes = max(call.peak_bytes, peak)

    def row(self, time: datetime, *, is_over: bool) -> SessionUsage:
        """The session's row of the day."""
        byte_seconds = self.day_byte_seconds
        if self.day_elapsed < LEAST_SECONDS and is_over:
            byte_seconds = LEAST_SECONDS * max(self.day_peak, LEAST_BYTES)
        return SessionUsage(
            session_id=self.owner.session_id,
            day=self.day,
            account=self.owner.account,
            interpreter_id=self.owner.interpreter_id,
            key_id=self.owner.key_id,
            region=self.owner.region,
            started_at=self.started_at,
            updated_at=time,
            elapsed_seconds=self.day_elapsed,
            cpu_seconds=self.cpu_seconds - self.day_cpu_base,
            memory_gb_seconds=byte_seconds / GIB,
            memory_peak_bytes=self.day_peak,
            calls=self.day_calls,
            is_over=is_over,
        )

    def take_ended(self) -> list[CallUsage]:
        """The rows of the calls that have ended and whose memory is known."""
        rows = [self.call_row(call) for call in self.ended]
        self.ended.clear()
        return rows

    def begin_day(self, day: str) -> None:
        """Another day's row begins with nothing."""
        self.day, self.day_cpu_base = day, self.cpu_seconds
        self.day_elapsed, self.day_byte_seconds, self.day_calls, self.day_peak = 0.0, 0.0, 0, 0

    def call_row(self, call: CallMeter) -> CallUsage:
        """The row of a call that has ended."""
        return CallUsage(
            request_id=call.facts.request_id,
            session_id=self.owner.session_id,
            account=self.owner.account,
            interpreter_id=self.owner.interpreter_id,
            key_id=call.facts.key_id,
            tool=call.facts.tool,
            started_at=call.started_at,
            elapsed_seconds=call.elapsed_seconds,
            cpu_seconds=call.cpu_seconds,
            memory_gb_seconds=billed_gb_seconds(call.elapsed_seconds, call.peak_bytes),
            memory_peak_bytes=call.peak_bytes,
        )
