"""How many requests a second an account may make: a bucket of tokens for each of its operations."""

from __future__ import annotations

from dataclasses import dataclass

from cellblock.clock import Clock
from cellblock.errors import Throttled
from cellblock.settings import Settings


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests a second, and the setting that says so; 0 for no limit."""

    per_second: float
    setting: str


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class Throttle:
    """The buckets. There are as many as accounts that asked, times operations; accounts are made by the operator alone."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._rates = rates(settings)
        self._burst_seconds = settings.rate_burst_seconds
        self._clock = clock
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def admit(self, account: str, operation: str, *, urgency: float = 0.0) -> None:
        """Take a token. Raises Throttled, which says when there will be one.

        A client's later attempts may take tokens that are yet to come, its last (urgency 1) up to a whole burst of them: so those
        succeed that have waited, while the average stays what it is. Who only says that he has waited draws on his own account.
        """
        rate = self._rates[operation]
        if not rate.per_second:
            return
        time, burst = self._clock.now(), max(1.0, rate.per_second * self._burst_seconds)
        bucket = self._buckets.get((account, operation))
        if bucket is None:
            bucket = self._buckets[account, operation] = _Bucket(burst, time)
        bucket.tokens = min(burst, bucket.tokens + (time - bucket.filled_at) * rate.per_second)
        bucket.filled_at = time
        if bucket.tokens < 1.0 - urgency * burst:
            raise _refusal(operation, rate, seconds=(1.0 - bucket.tokens) / rate.per_second)
        bucket.tokens -= 1.0


def rates(settings: Settings) -> dict[str, Rate]:
    """The rate of each operation."""
    changes = Rate(settings.interpreter_rate, "CELLBLOCK_INTERPRETER_RATE")
    sessions = Rate(settings.session_rate, "CELLBLOCK_SESSION_RATE")
    calls = Rate(settings.call_rate, "CELLBLOCK_CALL_RATE")
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


def _refusal(operation: str, rate: Rate, *, seconds: float) -> Throttled:
    return Throttled(
        f"Rate exceeded: this account may make {rate.per_second:g} {operation} requests a second; try again in {seconds:.1f} s"
        f" (setting {rate.setting})",
        retry_after_seconds=seconds,
    )
