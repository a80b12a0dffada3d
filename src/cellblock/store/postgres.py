"""The store in a PostgreSQL database, which may be away for a while."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
import structlog

from cellblock.errors import CellblockError, StoreUnavailable, ValidationFailed
from cellblock.machine.data_directory import DataDirectoryError, prepare_data_directory, secrets_key_path
from cellblock.model.resources import now
from cellblock.store.access_keys import KEYS_CHANNEL, check_sealer, has_sealer
from cellblock.store.database import DatabaseStore, Means
from cellblock.store.lanes import EVERYTHING, Bounds, Lanes
from cellblock.store.migrations import SchemaTooNew, is_current, migrate
from cellblock.store.sealing import Sealer

WRITERS_LOCK = 0x63656C6C626C01  # "cellbl" and a number: other users of the database have locks of their own
SERVER_LOCK = 0x63656C6C626C02
ACCOUNTS_LOCK = 0x63656C6C  # with a number made of the account
CONNECT_SECONDS = 3
RECONNECT_SECONDS = 0.5
ANSWER_SECONDS = 10.0  # what a request of a server waits for at most
Role = Literal["command", "server", "member"]
_KEEP_ALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 8_000}
_SERVER_TIMEOUTS = {"statement_timeout": "8s", "lock_timeout": "5s"}
_TIMEOUTS = {
    "idle_in_transaction_session_timeout": "10s",  # who died in a transaction, cut off, lets its locks go
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
}
_PASSING_STATES = {"25006", "25P03", "57P01", "57P02", "57P03"}  # a standby that is not yet the first; a connection that was ended

_log = structlog.get_logger("cellblock.store")


class PostgresStore(DatabaseStore):
    """One server's, or that of a cluster's members; `cellblock keys` and the like use the database beside them."""

    @classmethod
    async def open(
        cls, url: str, data_dir: Path, *, role: Role = "command", secrets_key: Path | None = None, clock: Callable[[], datetime] = now
    ) -> PostgresStore:
        """Bring the schema up to date. A server keeps all others out, a member those that are none. Raises DataDirectoryError."""
        prepare_data_directory(data_dir)
        engine, beats = _engine(url, role), _engine(url, role, synchronous_commit="off")
        watch = ListeningWatch(engine, role)
        sealer = Sealer(secrets_key or secrets_key_path(data_dir))
        try:
            await asyncio.to_thread(watch.open)
            await asyncio.to_thread(_prepare, engine, sealer, role)
        except BaseException as error:
            await asyncio.to_thread(watch.close)
            engine.dispose()
            if isinstance(error, SchemaTooNew | CellblockError | sa.exc.DBAPIError):
                raise DataDirectoryError(f"the database {_shown(url)} cannot be used: {_first_line(error)}") from error
            raise
        lanes = Lanes(engine, beats=beats, explain=_explained, bounds=None if role == "command" else Bounds(ANSWER_SECONDS, _grip))
        return cls(lanes, Means(clock=clock, sealer=sealer, watch=watch, is_member=role == "member"))


def _prepare(engine: sa.Engine, sealer: Sealer, role: Role) -> None:
    """Alone when something is to be done; a thousand members that start at once have nothing to do and wait for nobody."""
    with engine.connect() as connection, connection.begin():
        is_done = is_current(connection) and (role == "command" or has_sealer(connection))
        if is_done and role != "command":
            check_sealer(connection, sealer)
    if is_done:
        return
    with engine.execution_options(synchronous="FULL", scope=EVERYTHING).connect() as connection, connection.begin():
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # an index over many rows takes its time
        migrate(connection)
        if role != "command":
            check_sealer(connection, sealer)


class ListeningWatch:
    """Hears from the database when a key has changed, on a connection of its own with a thread that waits at it.

    While the database is away keys are as they were: nobody can change them. When it is back, all may have changed.
    """

    def __init__(self, engine: sa.Engine, role: Role) -> None:
        self._engine = engine
        self._role = role
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
            self._take_place(driver)
            driver.execute(f"LISTEN {KEYS_CHANNEL}")
        except BaseException:
            connection.invalidate()
            raise
        return connection

    def _take_place(self, driver: Any) -> None:
        """A server is alone at its database; the members of a cluster are many and no server is among them."""
        if self._role == "command":
            return
        kind = "_shared" if self._role == "member" else ""
        if driver.execute(f"SELECT pg_try_advisory_lock{kind}({SERVER_LOCK})").fetchone()[0]:
            return
        found = "a server that is in no cluster" if self._role == "member" else "another server"
        raise DataDirectoryError(f"{found} uses this database; stop that one, or give this one a database of its own")

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


def _engine(url: str, role: Role, **session: str) -> sa.Engine:
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
    chosen = _TIMEOUTS | ({} if role == "command" else _SERVER_TIMEOUTS) | session
    sa.event.listen(engine, "connect", lambda driver, _record: _set_up(driver, chosen))
    sa.event.listen(engine, "begin", _begin)
    return engine


def _set_up(driver: Any, chosen: dict[str, str]) -> None:
    """One statement at each connect; options in the address of the connection are refused by some poolers."""
    driver.execute("SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in chosen.items()))
    driver.commit()


def _grip(connection: sa.Connection) -> socket.socket:
    """A second handle of the connection's socket, for another thread."""
    driver: Any = connection.connection.driver_connection
    return socket.socket(fileno=os.dup(driver.fileno()))


def _begin(connection: sa.Connection) -> None:
    """Writes of one account are one after the other, as SQLite has all, so that what one looked at is still so when it changes it.

    What changes more than an account's things is alone: it waits for all others, and they for it.
    """
    scope = connection.get_execution_options().get("scope")
    if scope is None:
        return
    if scope == EVERYTHING:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})")
    else:
        locks = f"SELECT pg_advisory_xact_lock_shared({WRITERS_LOCK}), pg_advisory_xact_lock({ACCOUNTS_LOCK}, hashtext(%s))"
        connection.exec_driver_sql(locks, (scope,))


def _explained(error: sa.exc.DBAPIError) -> CellblockError | None:
    """What a fault of the database means for who asked."""
    is_passing = error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _PASSING_STATES
    if is_passing or isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError):
        return StoreUnavailable(f"the database does not answer: {_first_line(error)}")
    if isinstance(error, sa.exc.DataError):
        return ValidationFailed("a text holds a character that cannot be kept, as U+0000")
    return None


def _shown(url: str) -> str:
    """Without the password."""
    return sa.make_url(url).render_as_string(hide_password=True)


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
