"""Which database the store is in, by the settings."""

from __future__ import annotations

from pathlib import Path

from cellblock.settings.table import Settings
from cellblock.store.postgres import PostgresStore, Role
from cellblock.store.protocol import ClusterStore
from cellblock.store.sqlite import SqliteStore


async def open_store(settings: Settings, *, role: Role = "command") -> ClusterStore:
    """The store; who opens it closes it. A server has its database for itself, a member shares it. Raises DataDirectoryError."""
    secrets_key = Path(settings.secrets_key_file) if settings.secrets_key_file else None
    if settings.store:
        return await PostgresStore.open(settings.store, settings.data_dir, role=role, secrets_key=secrets_key)
    return await SqliteStore.open(settings.data_dir, secrets_key=secrets_key)
