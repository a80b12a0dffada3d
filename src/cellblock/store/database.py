"""What the service remembers: the contract of a store over a database, each method one transaction."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import sqlalchemy as sa

from cellblock.model.resources import (
    AccessKey,
    Account,
    Claim,
    ClusterNode,
    Granted,
    Interpreter,
    InterpreterKind,
    NodeFigures,
    NodeState,
    Page,
    PageRequest,
    Session,
    SessionKey,
    SessionState,
    TokenWant,
)
from cellblock.model.usage import CallUsage, SessionUsage, UsageQuery, UsageSum
from cellblock.store import access_keys, interpreters, node_rows, sessions, token_rows, usage_rows
from cellblock.store.claims import forget_claims
from cellblock.store.lanes import Lanes
from cellblock.store.sealing import Sealer

CLAIM_LIFETIME = timedelta(days=1)
PURGE_LOCK = 0x63656C6C626C03  # of PostgreSQL
PURGE_CHUNK = 500  # rows that one transaction removes, so that a start of a session never waits for a long one


class KeyWatch(Protocol):
    """Says, without waiting, whether an access key may have changed since it was last asked."""

    def version(self) -> int | None:
        """Another number after each change; None when that cannot be said."""

    def changed(self) -> None:
        """Told after a change by this store itself, which has to be seen at once."""

    def close(self) -> None:
        """Let go of what it watches by; may take a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a store works with beside its lanes."""

    clock: Callable[[], datetime]
    sealer: Sealer
    watch: KeyWatch
    is_member: bool = False  # of a cluster: others of it have sessions of their own


class DatabaseStore:
    """A store in a database; the store closes what it is given."""

    def __init__(self, lanes: Lanes, means: Means) -> None:
        self._lanes = lanes
        self._clock = means.clock
        self._sealer = means.sealer
        self._watch = means.watch
        self._is_member = means.is_member

    async def close(self) -> None:
        """Let go of the database."""
        await asyncio.to_thread(self._watch.close)
        await self._lanes.close()

    async def create_interpreter(self, interpreter: Interpreter, *, max_kept: int | None = None, claim: Claim | None = None) -> Interpreter:
        """See Store."""
        time = self._clock()
        return await self._lanes.write_durably(
            lambda connection: interpreters.create(connection, interpreter, max_kept=max_kept, claim=claim, time=time),
            scope=interpreter.account,
        )

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
            lambda connection: interpreters.delete(connection, account, interpreter_id, claim=claim, time=time), scope=account
        )

    async def create_session(self, session: Session, *, max_live: int, claim: Claim | None = None) -> Session:
        """See Store."""
        time = self._clock()
        return await self._lanes.write(
            lambda connection: sessions.create(connection, session, max_live=max_live, claim=claim, time=time), scope=session.account
        )

    async def discard_session(self, session_id: str) -> None:
        """See Store."""
        await self._lanes.write(lambda connection: sessions.discard(connection, session_id), scope=None)

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
        return await self._lanes.write(lambda connection: sessions.stop(connection, key, reason, claim=claim, time=time), scope=key.account)

    async def end_session(self, session_id: str, reason: str) -> bool:
        """See Store."""
        time = self._clock()
        return await self._lanes.write(lambda connection: sessions.end(connection, session_id, reason, time), scope=None)

    async def end_sessions_of_dead_server(self, reason: str) -> int:
        """See Store."""
        time = self._clock()
        if self._is_member:
            return await self._lanes.write_durably(lambda connection: sessions.end_without_node(connection, reason, time), scope=None)
        return await self._lanes.write_durably(lambda connection: _end_of_dead_server(connection, reason, time))

    async def count_live_sessions(self, account: str) -> int:
        """See Store."""
        return await self._lanes.read(lambda connection: sessions.count_live(connection, account))

    async def last_ended_sessions(self, count: int) -> tuple[Session, ...]:
        """See Store."""
        return await self._lanes.read(lambda connection: sessions.last_ended(connection, count))

    async def purge(self, *, sessions_ended_before: datetime) -> int:
        """See Store."""
        oldest_claim = self._clock() - CLAIM_LIFETIME
        await self._in_chunks(lambda connection: forget_claims(connection, oldest_claim, PURGE_CHUNK))
        count = await self._in_chunks(lambda connection: sessions.purge(connection, sessions_ended_before, PURGE_CHUNK))
        await self._in_chunks(lambda connection: interpreters.purge(connection, oldest_claim, PURGE_CHUNK))
        await self._in_chunks(lambda connection: node_rows.purge(connection, sessions_ended_before, PURGE_CHUNK))
        return count

    async def add_usage(self, calls: Sequence[CallUsage], sessions: Sequence[SessionUsage]) -> None:
        """See Store."""
        await self._lanes.write(lambda connection: usage_rows.add(connection, calls, sessions), scope=None)

    async def sum_usage(self, query: UsageQuery) -> tuple[UsageSum, ...]:
        """See Store."""
        return await self._lanes.read(lambda connection: usage_rows.sums(connection, query))

    async def list_call_usage(self, session_id: str) -> tuple[CallUsage, ...]:
        """See Store."""
        return await self._lanes.read(lambda connection: usage_rows.calls_of(connection, session_id))

    async def purge_usage(self, *, calls_before: datetime, sessions_before: datetime) -> None:
        """See Store."""
        await self._in_chunks(lambda connection: usage_rows.purge_calls(connection, calls_before, PURGE_CHUNK))
        await self._in_chunks(lambda connection: usage_rows.purge_sessions(connection, sessions_before, PURGE_CHUNK))

    def keys_version(self) -> int | None:
        """See Store."""
        return self._watch.version()

    async def get_access_key(self, key_id: str) -> AccessKey:
        """See Store."""
        return await self._lanes.read(lambda connection: access_keys.get(connection, key_id, self._sealer))

    async def list_access_keys(self, account: str | None = None) -> tuple[AccessKey, ...]:
        """See Store."""
        return await self._lanes.read(lambda connection: access_keys.list_all(connection, account, self._sealer))

    async def keep_first_access_key(self, candidate: AccessKey) -> AccessKey:
        """See Store."""
        found = await self._lanes.read(lambda connection: access_keys.first(connection, candidate.name, self._sealer))
        return found or await self._change_keys(lambda connection: access_keys.keep_first(connection, candidate, self._sealer))

    async def create_access_key(self, key: AccessKey) -> AccessKey:
        """See Store."""
        return await self._change_keys(lambda connection: access_keys.create(connection, key, self._sealer))

    async def revoke_access_key(self, key_id: str) -> AccessKey:
        """See Store."""
        time = self._clock()
        return await self._change_keys(lambda connection: access_keys.revoke(connection, key_id, self._sealer, time))

    async def rotate_access_key(self, key_id: str, secret: str, *, old_until: datetime | None = None) -> AccessKey:
        """See Store."""
        return await self._change_keys(lambda connection: access_keys.rotate(connection, key_id, secret, self._sealer, old_until=old_until))

    async def create_account(self, account: Account) -> Account:
        """See Store."""
        return await self._lanes.write_durably(lambda connection: access_keys.create_account(connection, account))

    async def list_accounts(self) -> tuple[Account, ...]:
        """See Store."""
        return await self._lanes.read(access_keys.list_accounts)

    async def join_node(self, node: ClusterNode) -> int:
        """See ClusterStore."""
        time = self._clock()
        with contextlib.suppress(sa.exc.IntegrityError):  # another of that name came in between
            if await self._lanes.write_durably(lambda connection: node_rows.join_new(connection, node), scope=None):
                return 0
        return await self._lanes.write_durably(lambda connection: node_rows.join(connection, node, time))

    async def beat_node(self, node_id: str, figures: NodeFigures) -> NodeState | None:
        """See ClusterStore."""
        time = self._clock()
        return await self._lanes.beat(lambda connection: node_rows.beat(connection, node_id, figures, time))

    async def end_node(self, node_id: str, reason: str) -> int | None:
        """See ClusterStore."""
        time = self._clock()
        return await self._lanes.write_durably(lambda connection: node_rows.end(connection, node_id, reason, time))

    async def leave_node(self, node_id: str, reason: str) -> int | None:
        """See ClusterStore."""
        return await self.end_node(node_id, reason)

    async def list_nodes(self, *, with_ended: bool = False) -> tuple[ClusterNode, ...]:
        """See ClusterStore."""
        return await self._lanes.beat(lambda connection: node_rows.list_all(connection, with_ended=with_ended))

    async def drain_node(self, name: str, *, undo: bool = False) -> ClusterNode:
        """See ClusterStore."""
        return await self._lanes.write_durably(lambda connection: node_rows.drain(connection, name, undo=undo))

    async def session_node(self, session_id: str) -> str | None:
        """See ClusterStore."""
        return await self._lanes.read(lambda connection: sessions.node_of(connection, session_id))

    async def count_node_sessions(self, node_id: str) -> int:
        """See ClusterStore."""
        return await self._lanes.read(lambda connection: sessions.count_of_node(connection, node_id))

    async def secrets_problem(self) -> str:
        """See ClusterStore."""
        return await self._lanes.read(lambda connection: access_keys.sealer_problem(connection, self._sealer))

    async def take_tokens(self, want: TokenWant) -> Granted:
        """See ClusterStore."""
        time = self._clock().timestamp()
        return await self._lanes.beat(lambda connection: token_rows.take(connection, want, time))

    async def _change_keys(self, change: Callable[[sa.Connection], AccessKey]) -> AccessKey:
        key = await self._lanes.write_durably(change)
        self._watch.changed()
        return key

    async def _in_chunks(self, remove: Callable[[sa.Connection], int]) -> int:
        total = 0
        while True:
            removed = await self._lanes.write(lambda connection: remove(connection) if _is_only_purger(connection) else 0, scope=None)
            total += removed
            if removed < PURGE_CHUNK:
                return total


def _end_of_dead_server(connection: sa.Connection, reason: str, time: datetime) -> int:
    node_rows.end_all(connection, reason, time)
    return sessions.end_all(connection, reason, time)


def _is_only_purger(connection: sa.Connection) -> bool:
    """Of all servers at one database one removes old rows at a time, and the others do not wait for it."""
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({PURGE_LOCK})").scalar_one())
