"""Access keys by their id, remembered until one of them changes, so that a request needs no look at the store."""

from __future__ import annotations

import asyncio
from collections import deque

from cellblock.errors import Throttled, UnknownKey
from cellblock.model.resources import AccessKey, now
from cellblock.store.protocol import Store

KEPT_KEYS = 1024
UNKNOWN_A_SECOND = 100  # looks at the store for ids that turn out to be nobody's


class KeyRing:
    """Finds keys that are in force; one that another process changes or revokes is seen so at the next request."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version: int | None = None
        self._known: dict[str, AccessKey] = {}
        self._unknown_at: deque[float] = deque(maxlen=UNKNOWN_A_SECOND)

    async def find(self, key_id: str) -> AccessKey:
        """The key. Raises UnknownKey, also for one that is revoked or expired."""
        version = self._store.keys_version()
        if version is None or version != self._version:
            self._known.clear()
            self._version = version
        key = self._known.get(key_id)
        if key is None:
            key = await self._looked_up(key_id)
            self._remember(key, version)
        if not key.is_usable(now()):
            raise UnknownKey
        return key

    async def _looked_up(self, key_id: str) -> AccessKey:
        """From the store, which strangers with made-up ids must not keep busy; who has a key tries again. Raises UnknownKey, Throttled."""
        time = asyncio.get_running_loop().time()
        if len(self._unknown_at) == UNKNOWN_A_SECOND and time - self._unknown_at[0] < 1.0:
            raise Throttled("too many requests name access keys that are not known here; try again")
        try:
            return await self._store.get_access_key(key_id)
        except UnknownKey:
            self._unknown_at.append(time)
            raise

    def _remember(self, key: AccessKey, version: int | None) -> None:
        """Not when keys have changed since it was asked for: what came may be of before."""
        if version is None or version != self._version:
            return
        if len(self._known) >= KEPT_KEYS:
            self._known.clear()
        self._known[key.id] = key
