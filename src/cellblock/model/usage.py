"""What was used: one row for each call and for each session, their minima, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

GIB = 1024**3
LEAST_SECONDS = 1.0  # of an invocation or session that is shorter
LEAST_BYTES = 128 * 1024**2  # in each second, however little it was
SECONDS_AN_HOUR = 3600.0

GroupedBy = Literal["session", "interpreter", "key", "day"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whom use is counted to: the session, and the key that started it."""

    session_id: str
    account: str
    interpreter_id: str
    key_id: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """Which call it is that uses a session, and whose."""

    request_id: str
    key_id: str
    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUsage:
    """One call. Calls that overlap in a session share its CPU time, so that the calls of a session never sum up to more than it used."""

    request_id: str
    session_id: str
    account: str
    interpreter_id: str
    key_id: str
    tool: str
    started_at: datetime
    elapsed_seconds: float
    cpu_seconds: float
    memory_gb_seconds: float
    memory_peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUsage:
    """One session on one day (UTC), so far or, when it is over, to its end. The bill is of these."""

    session_id: str
    day: str
    account: str
    interpreter_id: str
    key_id: str
    region: str
    started_at: datetime
    updated_at: datetime
    elapsed_seconds: float
    cpu_seconds: float
    memory_gb_seconds: float
    memory_peak_bytes: int
    calls: int
    is_over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """Which use is summed up, and by what; days are UTC's, both included."""

    by: GroupedBy
    account: str | None = None
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSum:
    """The sum for one session, interpreter, key or day of an account."""

    account: str
    group: str
    sessions: int
    calls: int
    elapsed_seconds: float
    cpu_seconds: float
    memory_gb_seconds: float
    memory_peak_bytes: int

    @property
    def vcpu_hours(self) -> float:
        """CPU time in the unit of the price."""
        return self.cpu_seconds / SECONDS_AN_HOUR

    @property
    def gb_hours(self) -> float:
        """Memory over time in the unit of the price."""
        return self.memory_gb_seconds / SECONDS_AN_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What an hour costs; the defaults are those that AWS publishes."""

    vcpu_hour: float = 0.0895
    gb_hour: float = 0.00945
    currency: str = "USD"

    def cost(self, vcpu_hours: float, gb_hours: float) -> float:
        """The price of both together."""
        return vcpu_hours * self.vcpu_hour + gb_hours * self.gb_hour


def billed_gb_seconds(seconds: float, memory_bytes: int) -> float:
    """Memory held for so long, with both minima."""
    return max(seconds, LEAST_SECONDS) * max(memory_bytes, LEAST_BYTES) / GIB
