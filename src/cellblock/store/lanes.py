"""Where the store's transactions run: a thread that writes, one that reads, one for a cluster; and what is said to SQLite alone.

A whole transaction is one hop to a thread. With one hop a statement, as an asyncio driver does it, the start of a session
took four times as long; and here a task that is cancelled leaves no transaction half done and no connection broken.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar, cast

import sqlalchemy as sa

from cellblock.errors import CellblockError, StoreUnavailable

BUSY_SECONDS = 10  # another process writes only for moments: `cellblock env` at its first run
CHECKPOINT_PAGES = 4000  # at the usual 1000 one start in a hundred waited for the disk
EVERYTHING = "everything"
Synchronous = Literal["FULL", "NORMAL"]
ResultT = TypeVar("ResultT")
Transaction = Callable[[sa.Connection], ResultT]
Explain = Callable[[sa.exc.DBAPIError], CellblockError | None]


@dataclass(frozen=True, slots=True)
class Change:
    """A transaction that writes, and what others may not write meanwhile: nothing at all, an account's things, or these rows."""

    synchronous: Synchronous
    scope: str | None  # EVERYTHING, an account's id, or None


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a caller waits for a database that may be away or hang, and the socket by which a connection that hangs is ended."""

    seconds: float
    grip: Callable[[sa.Connection], socket.socket]


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

    def __init__(self, name: str, engine: sa.Engine, explain: Explain, bounds: Bounds | None) -> None:
        self._engine = engine
        self._explain = explain
        self._bounds = bounds
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._connection: sa.Connection | None = None
        self._grip: socket.socket | None = None
        self._began_at = 0.0
        self._failed_at = 0.0

    async def run(self, transaction: Transaction[ResultT], change: Change | None) -> ResultT:
        """Do it in one transaction; a cancelled caller does not stop one that has begun. Raises StoreUnavailable."""
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._take, transaction, change, time.monotonic())
        if self._bounds is None:
            return await work
        try:
            async with asyncio.timeout(self._bounds.seconds):
                return await work
        except TimeoutError:
            self._cut(self._bounds.seconds / 2)
            raise StoreUnavailable(f"the database gives no answer in {self._bounds.seconds:g} s") from None

    async def close(self) -> None:
        """End the connection and the thread; transactions that are queued run before."""
        ending = asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        if self._bounds is not None:
            await asyncio.wait({ending}, timeout=self._bounds.seconds)
            self._cut(0.0)
        await ending
        self._thread.shutdown()

    def _take(self, transaction: Transaction[ResultT], change: Change | None, asked_at: float) -> ResultT:
        """What was asked while a try found no database shares its answer: with a try each, the last of many would wait for minutes."""
        if asked_at <= self._failed_at:
            raise StoreUnavailable("the database does not answer")
        self._began_at = time.monotonic()
        try:
            return self._transact(transaction, change)
        except StoreUnavailable:
            self._failed_at = time.monotonic()
            raise

    def _transact(self, transaction: Transaction[ResultT], change: Change | None) -> ResultT:
        """A transaction that fails for want of the database before it has changed anything is tried again on a new connection."""
        options = {"synchronous": change and change.synchronous, "scope": change and change.scope}
        for is_last in (False, True):
            tried = _Tried(transaction, changes=change is not None)
            is_new = self._connection is None
            try:
                with self._connect().execution_options(**options).begin() as begun:
                    return tried(begun.connection)
            except sa.exc.DBAPIError as error:
                explained = self._explain(error)
                if explained is None:
                    raise
                if isinstance(explained, StoreUnavailable):
                    self._disconnect()
                if is_last or is_new or tried.may_have_changed or not isinstance(explained, StoreUnavailable):
                    raise explained from error
        raise AssertionError("the last try returns or raises")

    def _cut(self, seconds: float) -> None:
        """Free the thread from a connection that hangs; not from one whose transaction has not had so long yet."""
        if self._grip is not None and time.monotonic() - self._began_at >= seconds:
            with contextlib.suppress(OSError):
                self._grip.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
            if self._bounds is not None:
                self._grip = self._bounds.grip(self._connection)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if self._grip is not None:
            self._grip.close()
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
    """The threads of one store; each begins, with its connection, when it is first used."""

    def __init__(
        self, engine: sa.Engine, *, beats: sa.Engine | None = None, explain: Explain = _unexplained, bounds: Bounds | None = None
    ) -> None:
        self._engines = (engine, beats or engine)
        self._writer = Lane("store-writer", engine, explain, bounds)
        self._reader = Lane("store-reader", engine, explain, bounds)
        self._beats = Lane("store-beats", (beats or engine).execution_options(isolation_level="AUTOCOMMIT"), explain, bounds)

    async def beat(self, statement: Transaction[ResultT]) -> ResultT:
        """Run a single statement that waits behind no transaction and may be done twice, or be lost with the database's power."""
        return await self._beats.run(statement, None)

    async def read(self, transaction: Transaction[ResultT]) -> ResultT:
        """Look at what was last written."""
        return await self._reader.run(transaction, None)

    async def write(self, transaction: Transaction[ResultT], *, scope: str | None) -> ResultT:
        """Change what must outlive this process; it may be lost with the power, as the sessions themselves are."""
        return await self._writer.run(transaction, Change("NORMAL", scope))

    async def write_durably(self, transaction: Transaction[ResultT], *, scope: str | None = EVERYTHING) -> ResultT:
        """Change what must outlive the machine's power too."""
        return await self._writer.run(transaction, Change("FULL", scope))

    async def close(self) -> None:
        """Wait for what is under way and end the threads."""
        for lane in (self._reader, self._writer, self._beats):
            await lane.close()
        for engine in self._engines:
            engine.dispose()
