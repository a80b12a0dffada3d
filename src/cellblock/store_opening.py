"""Which database the store is in, by the settings."""

from __future__ import annotations

from cellblock.settings import Settings
from cellblock.store.protocol import Store
from cellblock.store.sqlite import SqliteStore


async def open_store(settings: Settings) -> Store:
    """The store; who opens it closes it. Raises DataDirectoryError."""
    return await SqliteStore.open(settings.data_dir)
