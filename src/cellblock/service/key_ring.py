"""Access keys by their id, remembered until one of them changes, so that a request needs no look at the store."""

from __future__ import annotations

from cellblock.errors import UnknownKey
from cellblock.model.resources import AccessKey, now
from cellblock.store.protocol import Store

KEPT_KEYS = 1024


class KeyRing:
    """Finds keys that are in force; one that another process changes or revokes is seen so at the next request."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version: int | None = None
        self._known: dict[str, AccessKey] = {}

    async def find(self, key_id: str) -> AccessKey:
        """The key. Raises UnknownKey, also for one that is revoked or expired."""
        version = self._store.keys_version()
        if version is None or version != self._version:
            self._known.clear()
            self._version = version
        key = self._known.get(key_id)
        if key is None:
            key = await self._store.get_access_key(key_id)
            self._remember(key, version)
        if not key.is_usable(now()):
            raise UnknownKey
        return key

    def _remember(self, key: AccessKey, version: int | None) -> None:
        """Not when keys have changed since it was asked for: what came may be of before."""
        if version is None or version != self._version:
            return
        if len(self._known) >= KEPT_KEYS:
            self._known.clear()
        self._known[key.id] = key
