"""How many requests a second an account may make: a bucket of tokens for each of its operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cellblock.errors import Throttled
from cellblock.machine.clock import Clock
from cellblock.settings.table import Settings


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests a second, how many at one moment, and the setting that says so; 0 for no limit."""

    per_second: float
    burst_seconds: float
    setting: str

    @property
    def burst(self) -> float:
        """How many may come at one moment."""
        return max(1.0, self.per_second * self.burst_seconds)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class Admission(Protocol):
    """Lets requests through at an account's rate."""

    async def admit(self, account: str, operation: str, *, urgency: float = 0.0) -> None:
        """Take a token. Raises Throttled, which says when there will be one."""
        ...


class Throttle:
    """The buckets of one server. There are as many as accounts that asked, times operations; accounts are made by the operator alone."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._rates = rates(settings)
        self._clock = clock
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    async def admit(self, account: str, operation: str, *, urgency: float = 0.0) -> None:
        """See Admission."""
        self.take(account, operation, urgency=urgency)

    def take(self, account: str, operation: str, *, urgency: float = 0.0) -> None:
        """Take a token. Raises Throttled, which says when there will be one.

        A client's later attempts may take tokens that are yet to come, its last (urgency 1) up to a whole burst of them: so those
        succeed that have waited, while the average stays what it is. Who only says that he has waited draws on his own account.
        """
        rate = self._rates[operation]
        if not rate.per_second:
            return
        time, burst = self._clock.now(), rate.burst
        bucket = self._buckets.get((account, operation))
        if bucket is None:
            bucket = self._buckets[account, operation] = _Bucket(burst, time)
        bucket.tokens = min(burst, bucket.tokens + (time - bucket.filled_at) * rate.per_second)
        bucket.filled_at = time
        if bucket.tokens < 1.0 - urgency * burst:
            raise refusal(operation, rate, seconds=(1.0 - bucket.tokens) / rate.per_second)
        bucket.tokens -= 1.0


def rates(settings: Settings) -> dict[str, Rate]:
    """The rate of each operation."""
    changes = Rate(settings.interpreter_rate, settings.rate_burst_seconds, "CELLBLOCK_INTERPRETER_RATE")
    sessions = Rate(settings.session_rate, settings.rate_burst_seconds, "CELLBLOCK_SESSION_RATE")
    calls = Rate(settings.call_rate, settings.rate_burst_seconds, "CELLBLOCK_CALL_RATE")
    return {
        "CreateCodeInterpreter": changes,
        "DeleteCodeInterpreter": changes,
        "GetCodeInterpreter": calls,
        "ListCodeInterpreters": calls,
        "StartCodeInterpreterSession": sessions,
        "StopCodeInterpreterSession": sessions,
        "GetCodeInterpreterSession": calls,
        "ListCodeInterpreterSessions": calls,
        "InvokeCodeInterpreter": calls,
    }


def refusal(operation: str, rate: Rate, *, seconds: float) -> Throttled:
    """The error that says when to come again."""
    return Throttled(
        f"Rate exceeded: this account may make {rate.per_second:g} {operation} requests a second; try again in {seconds:.1f} s"
        f" (setting {rate.setting})",
        retry_after_seconds=seconds,
    )
