"""Strangers with made-up key ids do not keep the store busy."""

from __future__ import annotations

from typing import Any

import pytest

from cellblock.errors import Throttled, UnknownKey
from cellblock.model.resources import AccessKey, new_access_key
from cellblock.service.key_ring import UNKNOWN_A_SECOND, KeyRing


class OneKey:
    """A store with one key, which counts how often it is asked."""

    def __init__(self) -> None:
        self.key = new_access_key(account="000000000000", name="own")
        self.asked = 0

    def keys_version(self) -> int | None:
        return 1

    async def get_access_key(self, key_id: str) -> AccessKey:
        self.asked += 1
        if key_id != self.key.id:
            raise UnknownKey
        return self.key


async def test_made_up_ids_cost_so_many_looks_a_second_and_known_keys_go_on() -> None:
    store: Any = OneKey()
    ring = KeyRing(store)
    await ring.find(store.key.id)
    for number in range(UNKNOWN_A_SECOND):
        with pytest.raises(UnknownKey):
            await ring.find(f"AKIA{number}")
    asked = store.asked
    for number in range(1000):
        with pytest.raises(Throttled):
            await ring.find(f"AKIB{number}")
    assert store.asked == asked
    assert await ring.find(store.key.id) == store.key
