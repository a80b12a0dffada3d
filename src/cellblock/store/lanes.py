"""Where the store's transactions run: one thread that writes and one that reads; and what is said to SQLite alone.

A whole transaction is one hop to a thread. With one hop a statement, as an asyncio driver does it, the start of a session
took four times as long; and here a task that is cancelled leaves no transaction half done and no connection broken.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, Literal, TypeVar, cast

import sqlalchemy as sa

from cellblock.errors import CellblockError, StoreUnavailable

BUSY_SECONDS = 10  # another process writes only for moments: `cellblock env` at its first run
CHECKPOINT_PAGES = 4000  # at the usual 1000 one start in a hundred waited for the disk
Synchronous = Literal["FULL", "NORMAL"]
ResultT = TypeVar("ResultT")
Transaction = Callable[[sa.Connection], ResultT]
Explain = Callable[[sa.exc.DBAPIError], CellblockError | None]


def sqlite_engine(path: Path) -> sa.Engine:
    """An engine whose transactions are SQLite's own; the driver's implicit ones would leave changes of the schema outside."""
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_SECONDS})
    sa.event.listen(engine, "connect", _set_up_connection)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _set_up_connection(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")


def _begin(connection: sa.Connection) -> None:
    """A write takes SQLite's one write lock before it looks, so that what it looked at is still so when it changes it.

    Another database needs its own lock at this place: the quota counts rows, and no row stands for all of them.
    """
    synchronous = connection.get_execution_options().get("synchronous")
    if synchronous is None:
        return
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    driver.execute(f"PRAGMA synchronous = {synchronous}")
    driver.execute("BEGIN IMMEDIATE")


class Lane:
    """One thread with one connection; transactions go through it one after the other."""

    def __init__(self, name: str, engine: sa.Engine, explain: Explain) -> None:
        self._engine = engine
        self._explain = explain
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._connection: sa.Connection | None = None

    async def run(self, transaction: Transaction[ResultT], synchronous: Synchronous | None) -> ResultT:
        """Do it in one transaction; a cancelled caller does not stop one that has begun."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, transaction, synchronous)

    async def close(self) -> None:
        """End the connection and the thread; transactions that are queued run before."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    def _transact(self, transaction: Transaction[ResultT], synchronous: Synchronous | None) -> ResultT:
        """A transaction that fails for want of the database before it has changed anything is tried again on a new connection."""
        for is_last in (False, True):
            tried = _Tried(transaction, changes=synchronous is not None)
            try:
                with self._connect().execution_options(synchronous=synchronous).begin() as begun:
                    return tried(begun.connection)
            except sa.exc.DBAPIError as error:
                explained = self._explain(error)
                if explained is None:
                    raise
                if isinstance(explained, StoreUnavailable):
                    self._disconnect()
                if is_last or tried.may_have_changed or not isinstance(explained, StoreUnavailable):
                    raise explained from error
        raise AssertionError("the last try returns or raises")

    def _connect(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class _Tried(Generic[ResultT]):
    """A transaction that knows whether it was run."""

    def __init__(self, transaction: Transaction[ResultT], *, changes: bool) -> None:
        self._transaction = transaction
        self._changes = changes
        self.may_have_changed = False

    def __call__(self, connection: sa.Connection) -> ResultT:
        self.may_have_changed = self._changes
        return self._transaction(connection)


def _unexplained(error: sa.exc.DBAPIError) -> None:
    """SQLite's faults are the server's own."""


class Lanes:
    """The two threads of one store."""

    def __init__(self, engine: sa.Engine, *, explain: Explain = _unexplained) -> None:
        self._engine = engine
        self._writer = Lane("store-writer", engine, explain)
        self._reader = Lane("store-reader", engine, explain)

    async def read(self, transaction: Transaction[ResultT]) -> ResultT:
        """Look at what was last written."""
        return await self._reader.run(transaction, None)

    async def write(self, transaction: Transaction[ResultT]) -> ResultT:
        """Change what must outlive this process; it may be lost with the power, as the sessions themselves are."""
        return await self._writer.run(transaction, "NORMAL")

    async def write_durably(self, transaction: Transaction[ResultT]) -> ResultT:
        """Change what must outlive the machine's power too."""
        return await self._writer.run(transaction, "FULL")

    async def close(self) -> None:
        """Wait for what is under way and end the threads."""
        await self._reader.close()
        await self._writer.close()
        self._engine.dispose()
