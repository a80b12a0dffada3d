"""Access keys by their id, remembered for moments so that a request needs no look at the store."""

from __future__ import annotations

from dataclasses import dataclass

from cellblock.clock import Clock
from cellblock.model import AccessKey
from cellblock.store.protocol import Store

KEPT_SECONDS = 5.0
KEPT_KEYS = 1024


@dataclass(frozen=True, slots=True)
class _Known:
    key: AccessKey
    until: float


class KeyRing:
    """Finds keys; one that is changed or removed in the store is seen so after five seconds."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, _Known] = {}

    async def find(self, key_id: str) -> AccessKey:
        """The key. Raises UnknownKey."""
        known = self._known.get(key_id)
        if known is not None and self._clock.now() < known.until:
            return known.key
        self._known.pop(key_id, None)
        key = await self._store.get_access_key(key_id)
        if len(self._known) >= KEPT_KEYS:
            self._known.clear()
        self._known[key_id] = _Known(key, self._clock.now() + KEPT_SECONDS)
        return key
