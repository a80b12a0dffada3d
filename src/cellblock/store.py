"""What the service remembers: interpreters, sessions, client tokens and access keys; the contract and its SQLite form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from cellblock import store_access_keys, store_interpreters, store_sessions
from cellblock.data_directory import DATABASE_NAME, DataDirectoryError, prepare_data_directory, prepare_private_file
from cellblock.model import AccessKey, Claim, Interpreter, InterpreterKind, Page, PageRequest, Session, SessionKey, SessionState, now
from cellblock.store_claims import forget_claims
from cellblock.store_lanes import Lanes, sqlite_engine
from cellblock.store_migrations import SchemaTooNew, migrate

CLAIM_LIFETIME = timedelta(days=1)
PURGE_CHUNK = 500  # rows that one transaction removes, so that a start of a session never waits for a long one


class Store(Protocol):
    """Every change is one transaction: it happened when the method returns, and not at all when it raises.

    A cancelled method may or may not have happened; `discard_session` is safe after either.
    """

    async def close(self) -> None:
        """Let go of the database; what was returned before is kept."""
        ...

    async def create_interpreter(self, interpreter: Interpreter, *, claim: Claim | None = None) -> Interpreter:
        """Keep an interpreter; the one of before when the claim was used. Raises NameInUse and IdempotencyMismatch."""
        ...

    async def get_interpreter(self, account: str, interpreter_id: str) -> Interpreter:
        """An interpreter of the account, or the built-in one. Raises InterpreterNotFound."""
        ...

    async def list_interpreters(self, account: str, page: PageRequest, *, kind: InterpreterKind | None = None) -> Page[Interpreter]:
        """The account's and the built-in one, newest first. Raises ValidationFailed for a token that is none."""
        ...

    async def delete_interpreter(self, account: str, interpreter_id: str, *, claim: Claim | None = None) -> Interpreter:
        """Delete it, status DELETED. Raises InterpreterNotFound, InterpreterInUse, AccessDenied and IdempotencyMismatch."""
        ...

    async def create_session(self, session: Session, *, max_live: int, claim: Claim | None = None) -> Session:
        """Keep a READY session. A session with another id comes back when the claim was used.

        Raises QuotaExceeded, InterpreterNotFound and IdempotencyMismatch.
        """
        ...

    async def discard_session(self, session_id: str) -> None:
        """Undo the creation of a READY session that could not be given a cell; its claim is free again. Unknown ids are ignored."""
        ...

    async def get_session(self, key: SessionKey) -> Session:
        """A session, ended or not. Raises SessionNotFound."""
        ...

    async def list_sessions(
        self, account: str, interpreter_id: str, page: PageRequest, *, state: SessionState | None = None
    ) -> Page[Session]:
        """Sessions of an interpreter, newest first. Raises InterpreterNotFound, and ValidationFailed for a token that is none."""
        ...

    async def stop_session(self, key: SessionKey, reason: str, *, claim: Claim | None = None) -> Session:
        """READY to TERMINATED for a client. Raises SessionNotFound, SessionAlreadyTerminated and IdempotencyMismatch."""
        ...

    async def end_session(self, session_id: str, reason: str) -> bool:
        """READY to TERMINATED for the server; False when no READY session has this id. The first reason stays."""
        ...

    async def end_sessions_of_dead_server(self, reason: str) -> int:
        """READY to TERMINATED for every session; for a server that has just started and has none yet. How many."""
        ...

    async def count_live_sessions(self, account: str) -> int:
        """How many READY sessions the account has."""
        ...

    async def purge(self, *, sessions_ended_before: datetime) -> int:
        """Forget sessions that ended before then, and client tokens older than a day. How many sessions."""
        ...

    async def get_access_key(self, key_id: str) -> AccessKey:
        """The key with this id. Raises UnknownKey."""
        ...

    async def keep_first_access_key(self, candidate: AccessKey) -> AccessKey:
        """The oldest key; the candidate is kept when there is none."""
        ...


class SqliteStore:
    """The store in one file of the data directory."""

    def __init__(self, lanes: Lanes, clock: Callable[[], datetime]) -> None:
        self._lanes = lanes
        self._clock = clock

    @classmethod
    async def open(cls, data_dir: Path, *, clock: Callable[[], datetime] = now) -> SqliteStore:
        """Make the directory and the file when they are missing and bring the schema up to date. Raises DataDirectoryError."""
        prepare_data_directory(data_dir)
        path = data_dir / DATABASE_NAME
        prepare_private_file(path)
        lanes = Lanes(sqlite_engine(path))
        try:
            await lanes.write_durably(migrate)
        except (SchemaTooNew, sa.exc.DBAPIError) as error:
            await lanes.close()
            raise DataDirectoryError(f"{path} cannot be used: {error}") from error
        return cls(lanes, clock)

    async def close(self) -> None:
        """Let go of the file."""
        await self._lanes.close()

    async def create_interpreter(self, interpreter: Interpreter, *, claim: Claim | None = None) -> Interpreter:
        """See Store."""
        time = self._clock()
        return await self._lanes.write_durably(lambda connection: store_interpreters.create(connection, interpreter, claim, time))

    async def get_interpreter(self, account: str, interpreter_id: str) -> Interpreter:
        """See Store."""
        return await self._lanes.read(lambda connection: store_interpreters.get(connection, account, interpreter_id))

    async def list_interpreters(self, account: str, page: PageRequest, *, kind: InterpreterKind | None = None) -> Page[Interpreter]:
        """See Store."""
        return await self._lanes.read(lambda connection: store_interpreters.list_page(connection, account, page, kind))

    async def delete_interpreter(self, account: str, interpreter_id: str, *, claim: Claim | None = None) -> Interpreter:
        """See Store."""
        time = self._clock()
        return await self._lanes.write_durably(
            lambda connection: store_interpreters.delete(connection, account, interpreter_id, claim=claim, time=time)
        )

    async def create_session(self, session: Session, *, max_live: int, claim: Claim | None = None) -> Session:
        """See Store."""
        time = self._clock()
        return await self._lanes.write(
            lambda connection: store_sessions.create(connection, session, max_live=max_live, claim=claim, time=time)
        )

    async def discard_session(self, session_id: str) -> None:
        """See Store."""
        await self._lanes.write(lambda connection: store_sessions.discard(connection, session_id))

    async def get_session(self, key: SessionKey) -> Session:
        """See Store."""
        return await self._lanes.read(lambda connection: store_sessions.get(connection, key))

    async def list_sessions(
        self, account: str, interpreter_id: str, page: PageRequest, *, state: SessionState | None = None
    ) -> Page[Session]:
        """See Store."""
        return await self._lanes.read(
            lambda connection: store_sessions.list_page(connection, account, interpreter_id, page=page, state=state)
        )

    async def stop_session(self, key: SessionKey, reason: str, *, claim: Claim | None = None) -> Session:
        """See Store."""
        time = self._clock()
        return await self._lanes.write(lambda connection: store_sessions.stop(connection, key, reason, claim=claim, time=time))

    async def end_session(self, session_id: str, reason: str) -> bool:
        """See Store."""
        time = self._clock()
        return await self._lanes.write(lambda connection: store_sessions.end(connection, session_id, reason, time))

    async def end_sessions_of_dead_server(self, reason: str) -> int:
        """See Store."""
        time = self._clock()
        return await self._lanes.write_durably(lambda connection: store_sessions.end_all(connection, reason, time))

    async def count_live_sessions(self, account: str) -> int:
        """See Store."""
        return await self._lanes.read(lambda connection: store_sessions.count_live(connection, account))

    async def purge(self, *, sessions_ended_before: datetime) -> int:
        """See Store."""
        oldest_claim = self._clock() - CLAIM_LIFETIME
        await self._in_chunks(lambda connection: forget_claims(connection, oldest_claim, PURGE_CHUNK))
        count = await self._in_chunks(lambda connection: store_sessions.purge(connection, sessions_ended_before, PURGE_CHUNK))
        await self._in_chunks(lambda connection: store_interpreters.purge(connection, oldest_claim, PURGE_CHUNK))
        return count

    async def get_access_key(self, key_id: str) -> AccessKey:
        """See Store."""
        return await self._lanes.read(lambda connection: store_access_keys.get(connection, key_id))

    async def keep_first_access_key(self, candidate: AccessKey) -> AccessKey:
        """See Store."""
        return await self._lanes.write_durably(lambda connection: store_access_keys.keep_first(connection, candidate))

    async def _in_chunks(self, remove: Callable[[sa.Connection], int]) -> int:
        total = 0
        while True:
            removed = await self._lanes.write(remove)
            total += removed
            if removed < PURGE_CHUNK:
                return total
