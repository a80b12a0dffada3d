"""What the service remembers: interpreters, sessions, client tokens and access keys; the contract and its SQLite form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from cellblock.data_directory import DATABASE_NAME, DataDirectoryError, prepare_data_directory, prepare_private_file
from cellblock.model import AccessKey, Claim, Interpreter, InterpreterKind, Page, PageRequest, Session, SessionKey, SessionState, now
from cellblock.store import access_keys, interpreters, sessions
from cellblock.store.claims import forget_claims
from cellblock.store.lanes import Lanes, sqlite_engine
from cellblock.store.migrations import SchemaTooNew, migrate

CLAIM_LIFETIME = timedelta(days=1)
PURGE_CHUNK = 500  # rows that one transaction removes, so that a start of a session never waits for a long one


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
        return await self._lanes.write_durably(lambda connection: interpreters.create(connection, interpreter, claim, time))

    async def get_interpreter(self, account: str, interpreter_id: str) -> Interpreter:
        """See Store."""
        return await self._lanes.read(lambda connection: interpreters.get(connection, account, interpreter_id))

    async def list_interpreters(self, account: str, page: PageRequest, *, kind: InterpreterKind | None = None) -> Page[Interpreter]:
        """See Store."""
        return await self._lanes.read(lambda connection: interpreters.list_page(connection, account, page, kind))

    async def delete_interpreter(self, account: str, interpreter_id: str, *, claim: Claim | None = None) -> Interpreter:
        """See Store."""
        time = self._clock()
        return await self._lanes.write_durably(
            lambda connection: interpreters.delete(connection, account, interpreter_id, claim=claim, time=time)
        )

    async def create_session(self, session: Session, *, max_live: int, claim: Claim | None = None) -> Session:
        """See Store."""
        time = self._clock()
        return await self._lanes.write(lambda connection: sessions.create(connection, session, max_live=max_live, claim=claim, time=time))

    async def discard_session(self, session_id: str) -> None:
        """See Store."""
        await self._lanes.write(lambda connection: sessions.discard(connection, session_id))

    async def get_session(self, key: SessionKey) -> Session:
        """See Store."""
        return await self._lanes.read(lambda connection: sessions.get(connection, key))

    async def list_sessions(
        self, account: str, interpreter_id: str, page: PageRequest, *, state: SessionState | None = None
    ) -> Page[Session]:
        """See Store."""
        return await self._lanes.read(lambda connection: sessions.list_page(connection, account, interpreter_id, page=page, state=state))

    async def stop_session(self, key: SessionKey, reason: str, *, claim: Claim | None = None) -> Session:
        """See Store."""
        time = self._clock()
        return await self._lanes.write(lambda connection: sessions.stop(connection, key, reason, claim=claim, time=time))

    async def end_session(self, session_id: str, reason: str) -> bool:
        """See Store."""
        time = self._clock()
        return await self._lanes.write(lambda connection: sessions.end(connection, session_id, reason, time))

    async def end_sessions_of_dead_server(self, reason: str) -> int:
        """See Store."""
        time = self._clock()
        return await self._lanes.write_durably(lambda connection: sessions.end_all(connection, reason, time))

    async def count_live_sessions(self, account: str) -> int:
        """See Store."""
        return await self._lanes.read(lambda connection: sessions.count_live(connection, account))

    async def purge(self, *, sessions_ended_before: datetime) -> int:
        """See Store."""
        oldest_claim = self._clock() - CLAIM_LIFETIME
        await self._in_chunks(lambda connection: forget_claims(connection, oldest_claim, PURGE_CHUNK))
        count = await self._in_chunks(lambda connection: sessions.purge(connection, sessions_ended_before, PURGE_CHUNK))
        await self._in_chunks(lambda connection: interpreters.purge(connection, oldest_claim, PURGE_CHUNK))
        return count

    async def get_access_key(self, key_id: str) -> AccessKey:
        """See Store."""
        return await self._lanes.read(lambda connection: access_keys.get(connection, key_id))

    async def keep_first_access_key(self, candidate: AccessKey) -> AccessKey:
        """See Store."""
        return await self._lanes.write_durably(lambda connection: access_keys.keep_first(connection, candidate))

    async def _in_chunks(self, remove: Callable[[sa.Connection], int]) -> int:
        total = 0
        while True:
            removed = await self._lanes.write(remove)
            total += removed
            if removed < PURGE_CHUNK:
                return total
