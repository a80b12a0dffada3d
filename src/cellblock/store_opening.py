"""Which database the store is in, by the settings."""

from __future__ import annotations

from cellblock.settings import Settings
from cellblock.store.postgres import PostgresStore
from cellblock.store.protocol import Store
from cellblock.store.sqlite import SqliteStore


async def open_store(settings: Settings, *, is_server: bool = False) -> Store:
    """The store; who opens it closes it. A server has its database for itself. Raises DataDirectoryError."""
    if settings.store:
        return await PostgresStore.open(settings.store, settings.data_dir, is_server=is_server)
    return await SqliteStore.open(settings.data_dir)
