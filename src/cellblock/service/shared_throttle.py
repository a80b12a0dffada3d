"""The rates of accounts that many servers share: tokens come from the store a few at a time, so that a call seldom waits for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import structlog

from cellblock.errors import StoreUnavailable
from cellblock.machine.clock import Clock
from cellblock.model.resources import Granted, TokenWant
from cellblock.service.throttle import Admission, Throttle, rates, refusal
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
        rate = self._rates[operation]
        want = TokenWant(account=account, operation=operation, rate=rate.per_second, burst=rate.burst)
        granted = None if self._clock.now() < self._away_until else await self._lent(lease, want, urgency)
        if granted is None:
            self._own.take(account, operation, urgency=urgency)
        elif not granted.count:
            raise refusal(operation, rate, seconds=granted.wait_seconds)

    async def _lent(self, lease: _Lease, want: TokenWant, urgency: float) -> Granted | None:
        """Of what is there; and for one who has waited, and for him alone, of what is yet to come. None when the store is away."""
        time = self._clock.now()
        if time < lease.refused_until:
            granted: Granted | None = Granted(0, lease.refused_until - time)
            if urgency <= lease.refused_urgency:
                return granted
        else:
            some = replace(want, count=lease.next_size(int(want.rate * MOST_SECONDS)))
            granted = await self._granted(some)
            if granted is not None and granted.count:
                lease.size, lease.tokens, lease.good_until = some.count, granted.count - 1, self._clock.now() + KEPT_SECONDS
            self._note_refusal(lease, granted, 0.0, 0.0)
        if urgency and granted is not None and not granted.count:
            debt = urgency * want.burst
            granted = await self._granted(replace(want, debt=debt))
            self._note_refusal(lease, granted, urgency, debt / want.rate)
        return granted

    def _note_refusal(self, lease: _Lease, granted: Granted | None, urgency: float, debt_seconds: float) -> None:
        if granted is not None and not granted.count:
            lease.size, lease.tokens, lease.refused_urgency = 1, 0, urgency
            lease.refused_until = self._clock.now() + max(REFUSED_SECONDS, granted.wait_seconds - debt_seconds)

    async def _granted(self, want: TokenWant) -> Granted | None:
        """The store's answer; None without one."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._store.take_tokens(want)
        except (StoreUnavailable, TimeoutError):
            _log.warning("rates are this server's own while the store is away")
            self._away_until = self._clock.now() + AWAY_SECONDS
            return None
