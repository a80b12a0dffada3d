"""The store in a PostgreSQL database, which may be away for a while."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from cellblock.data_directory import SECRETS_KEY_NAME, DataDirectoryError, prepare_data_directory
from cellblock.errors import CellblockError, StoreUnavailable, ValidationFailed
from cellblock.model import now
from cellblock.store.access_keys import KEYS_CHANNEL
from cellblock.store.database import DatabaseStore, Means
from cellblock.store.lanes import Lanes
from cellblock.store.migrations import SchemaTooNew, migrate
from cellblock.store.sealing import Sealer

WRITERS_LOCK = 0x63656C6C626C01  # "cellbl" and a number: other users of the database have locks of their own
SERVER_LOCK = 0x63656C6C626C02
CONNECT_SECONDS = 5
RECONNECT_SECONDS = 0.5
_KEEP_ALIVE = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}

_log = structlog.get_logger("cellblock.store")


class PostgresStore(DatabaseStore):
    """One server's; `cellblock keys` and the like use the database beside it."""

    @classmethod
    async def open(
        cls, url: str, data_dir: Path, *, is_server: bool = False, clock: Callable[[], datetime] = now
    ) -> PostgresStore:  # fmt: skip
        """Bring the schema up to date. A server keeps other servers out. Raises DataDirectoryError."""
        prepare_data_directory(data_dir)
        engine = _engine(url)
        watch = ListeningWatch(engine, is_server=is_server)
        lanes = Lanes(engine, explain=_explained)
        try:
            await asyncio.to_thread(watch.open)
            await lanes.write_durably(migrate)
        except (SchemaTooNew, CellblockError, sa.exc.DBAPIError) as error:
            await asyncio.to_thread(watch.close)
            await lanes.close()
            raise DataDirectoryError(f"the database {_shown(url)} cannot be used: {_first_line(error)}") from error
        except BaseException:
            await asyncio.to_thread(watch.close)
            await lanes.close()
            raise
        return cls(lanes, Means(clock=clock, sealer=Sealer(data_dir / SECRETS_KEY_NAME), watch=watch))


class ListeningWatch:
    """Hears from the database when a key has changed, on a connection of its own with a thread that waits at it.

    While the database is away keys are as they were: nobody can change them. When it is back, all may have changed.
    """

    def __init__(self, engine: sa.Engine, *, is_server: bool) -> None:
        self._engine = engine
        self._is_server = is_server
        self._version = 1
        self._closing = threading.Event()
        self._wake, self._waker = socket.socketpair()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Start to listen. Raises StoreUnavailable, and DataDirectoryError when another server has the database."""
        try:
            connection = self._connect()
        except self._losses() as error:
            raise StoreUnavailable(_first_line(error)) from error
        self._thread = threading.Thread(target=self._listen_always, args=(connection,), name="store-watch", daemon=True)
        self._thread.start()

    def version(self) -> int | None:
        """See KeyWatch."""
        return self._version

    def changed(self) -> None:
        """See KeyWatch."""
        self._version += 1

    def close(self) -> None:
        """See KeyWatch."""
        self._closing.set()
        self._waker.close()
        if self._thread is not None:
            self._thread.join()
        self._wake.close()

    def _connect(self) -> sa.PoolProxiedConnection:
        """A connection of the pool that never goes back to it."""
        connection = self._engine.raw_connection()
        try:
            driver: Any = connection.driver_connection
            driver.rollback()
            driver.autocommit = True
            if self._is_server and not driver.execute(f"SELECT pg_try_advisory_lock({SERVER_LOCK})").fetchone()[0]:
                raise DataDirectoryError("another server uses this database; stop that one, or give this one a database of its own")
            driver.execute(f"LISTEN {KEYS_CHANNEL}")
        except BaseException:
            connection.invalidate()
            raise
        return connection

    def _listen_always(self, first: sa.PoolProxiedConnection) -> None:
        connection: sa.PoolProxiedConnection | None = first
        while connection is not None:
            try:
                self._listen(connection.driver_connection)
            except self._losses():
                _log.warning("the database has gone; waiting for it")
            connection.invalidate()
            connection = self._reconnected()

    def _listen(self, driver: Any) -> None:
        while not self._closing.is_set():
            for _ in driver.notifies(timeout=0):
                self._version += 1
            select.select([driver.fileno(), self._wake], [], [])  # TCP's keep-alives end it for a database that is cut off

    def _reconnected(self) -> sa.PoolProxiedConnection | None:
        """A new connection, when all may have changed; None when the watch is closed first."""
        while not self._closing.is_set():
            try:
                connection = self._connect()
            except DataDirectoryError as error:
                _log.error("the database has become another server's", reason=str(error))
            except self._losses():
                pass
            else:
                self._version += 1
                return connection
            self._closing.wait(RECONNECT_SECONDS)
        return None

    def _losses(self) -> tuple[type[Exception], ...]:
        driver: Any = self._engine.dialect.dbapi
        return (driver.OperationalError, driver.InterfaceError, sa.exc.OperationalError, sa.exc.InterfaceError)


def _engine(url: str) -> sa.Engine:
    """Connections of psycopg, which SQLAlchemy imports here and not before. Raises DataDirectoryError."""
    try:
        address = sa.make_url(url).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(
            address,
            isolation_level="READ COMMITTED",  # with the lock below it sees all that others have written
            connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": "cellblock", **_KEEP_ALIVE},
        )
    except ModuleNotFoundError as error:
        raise DataDirectoryError("PostgreSQL needs a driver that is not installed: pip install 'cellblock[postgres]'") from error
    except sa.exc.ArgumentError as error:
        raise DataDirectoryError("CELLBLOCK_STORE is no URL; write it as postgresql://user@host/name") from error
    sa.event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: sa.Connection) -> None:
    """One write after the other, as SQLite has them, so that what a transaction looked at is still so when it changes it."""
    if connection.get_execution_options().get("synchronous") is not None:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})")


def _explained(error: sa.exc.DBAPIError) -> CellblockError | None:
    """What a fault of the database means for who asked."""
    if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError) or error.connection_invalidated:
        return StoreUnavailable(f"the database does not answer: {_first_line(error)}")
    if isinstance(error, sa.exc.DataError):
        return ValidationFailed("a text holds a character that cannot be kept, as U+0000")
    return None


def _shown(url: str) -> str:
    """Without the password."""
    return sa.make_url(url).render_as_string(hide_password=True)


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
