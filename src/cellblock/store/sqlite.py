"""The store in one SQLite file of the data directory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from cellblock.machine.data_directory import (
    DATABASE_NAME,
    DataDirectoryError,
    prepare_data_directory,
    prepare_private_file,
    secrets_key_path,
)
from cellblock.model.resources import now
from cellblock.store.database import DatabaseStore, Means
from cellblock.store.lanes import Lanes, sqlite_engine
from cellblock.store.migrations import SchemaTooNew, migrate
from cellblock.store.sealing import Sealer


class SqliteStore(DatabaseStore):
    """One server's; `cellblock keys` and the like open it beside the server."""

    @classmethod
    async def open(cls, data_dir: Path, *, secrets_key: Path | None = None, clock: Callable[[], datetime] = now) -> SqliteStore:
        """Make the directory and the file when they are missing and bring the schema up to date. Raises DataDirectoryError."""
        prepare_data_directory(data_dir)
        path = data_dir / DATABASE_NAME
        prepare_private_file(path)
        lanes = Lanes(sqlite_engine(path))
        try:
            await lanes.write_durably(migrate)
            watch = FileWatch(path)
        except (SchemaTooNew, sa.exc.DBAPIError, sqlite3.Error) as error:
            await lanes.close()
            raise DataDirectoryError(f"{path} cannot be used: {error}") from error
        return cls(lanes, Means(clock=clock, sealer=Sealer(secrets_key or secrets_key_path(data_dir)), watch=watch))


class FileWatch:
    """Reads the count of changes from the file: a few microseconds, on a connection that never waits for a lock."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)  # it is closed in another
        self._connection.execute("PRAGMA query_only = ON")

    def version(self) -> int | None:
        """See KeyWatch."""
        try:
            (version,) = self._connection.execute("SELECT version FROM key_changes").fetchone()
        except sqlite3.OperationalError:
            return None
        return int(version)

    def changed(self) -> None:
        """See KeyWatch; the file says it."""

    def close(self) -> None:
        """See KeyWatch."""
        self._connection.close()
