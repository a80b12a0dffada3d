"""The rates of accounts that many servers share: tokens come from the store a few at a time, so that a call seldom waits for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog

from cellblock.errors import StoreUnavailable
from cellblock.machine.clock import Clock
from cellblock.model.resources import Granted, TokenWant
from cellblock.service.throttle import Admission, Rate, Throttle, rates, refusal
from cellblock.settings.table import Settings
from cellblock.store.protocol import ClusterStore

MOST_SECONDS = 0.1  # what one server takes at once of an account's rate
KEPT_SECONDS = 1.0  # tokens that are not used by then are no more: else many servers would keep a burst each
REFUSED_SECONDS = 0.02  # who is refused, whatever he claims of his urgency, does not make the store answer more often
ANSWER_SECONDS = 1.0
AWAY_SECONDS = 1.0  # how long the store is not asked after it gave no answer

_log = structlog.get_logger("cellblock.throttle")


def admission(settings: Settings, store: ClusterStore, clock: Clock) -> Admission:
    """This server's own rates, or those of its cluster."""
    return Throttle(settings, clock) if settings.cluster == "none" else SharedThrottle(settings, store, clock)


@dataclass(slots=True)
class _Lease:
    """Tokens in hand of one account and operation, and how many to ask for next: as many as are used, not more."""

    tokens: int = 0
    good_until: float = 0.0
    size: int = 1
    refused_until: float = 0.0
    refused_urgency: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def take(self, time: float) -> bool:
        """Whether there was one."""
        if not self.tokens or time >= self.good_until:
            return False
        self.tokens -= 1
        return True

    def next_size(self, most: int) -> int:
        """Twice as many after all were used, and no more than were used when some were not."""
        return max(1, min(most, self.size - self.tokens if self.tokens else 2 * self.size))


class SharedThrottle:
    """Asks the store, once at a time for each account and operation; while the store is away this server's own buckets decide."""

    def __init__(self, settings: Settings, store: ClusterStore, clock: Clock) -> None:
        self._rates = rates(settings)
        self._store = store
        self._clock = clock
        self._own = Throttle(settings, clock)
        self._leases: dict[tuple[str, str], _Lease] = {}
        self._away_until = 0.0

    async def admit(self, account: str, operation: str, *, urgency: float = 0.0) -> None:
        """See Admission and Throttle.take."""
        rate = self._rates[operation]
        if not rate.per_second:
            return
        lease = self._leases.setdefault((account, operation), _Lease())
        if lease.take(self._clock.now()):
            return
        async with lease.turn:
            if not lease.take(self._clock.now()):
                await self._ask(lease, account, operation, urgency)

    async def _ask(self, lease: _Lease, account: str, operation: str, urgency: float) -> None:
        time, rate = self._clock.now(), self._rates[operation]
        if time < lease.refused_until and urgency <= lease.refused_urgency:
            raise refusal(operation, rate, seconds=lease.refused_until - time)
        if time < self._away_until:
            self._own.take(account, operation, urgency=urgency)
            return
        size = lease.next_size(int(rate.per_second * MOST_SECONDS)) if not urgency else 1  # what is yet to come is for him alone
        debt = urgency * rate.burst
        want = TokenWant(account=account, operation=operation, rate=rate.per_second, burst=rate.burst, count=size, debt=debt)
        granted = await self._granted(want)
        if granted is None:
            self._own.take(account, operation, urgency=urgency)
        elif granted.count:
            lease.size, lease.tokens, lease.good_until = size, granted.count - 1, self._clock.now() + KEPT_SECONDS
        else:
            self._refuse(lease, operation, rate, granted.wait_seconds, urgency)

    def _refuse(self, lease: _Lease, operation: str, rate: Rate, seconds: float, urgency: float) -> None:
        own_seconds = seconds - urgency * rate.burst_seconds
        lease.size, lease.tokens, lease.refused_urgency = 1, 0, urgency
        lease.refused_until = self._clock.now() + max(REFUSED_SECONDS, own_seconds)
        raise refusal(operation, rate, seconds=seconds)

    async def _granted(self, want: TokenWant) -> Granted | None:
        """The store's answer; None without one."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._store.take_tokens(want)
        except (StoreUnavailable, TimeoutError):
            _log.warning("rates are this server's own while the store is away")
            self._away_until = self._clock.now() + AWAY_SECONDS
            return None
