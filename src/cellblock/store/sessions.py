"""The transactions about sessions; each change of state names the state it leaves."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from cellblock.errors import InterpreterNotFound, NodeClosed, QuotaExceeded, SessionAlreadyTerminated, SessionNotFound
from cellblock.model.resources import Claim, Page, PageRequest, Session, SessionKey, SessionState
from cellblock.store.claims import recall, release, remember
from cellblock.store.interpreters import get as get_interpreter
from cellblock.store.interpreters import is_visible
from cellblock.store.pages import fetch_page
from cellblock.store.schema import interpreters, nodes, sessions, to_row, to_value

# Built once: the start and the stop of a session are the store's busy paths.
_is_live = sessions.c.state == sa.literal_column("'READY'")  # literal, so that the partial index is used
_live_of_account = sa.select(sa.func.count()).select_from(sessions).where(sessions.c.account == sa.bindparam("account"), _is_live)
_may_start = sa.select(
    sa.exists().where(interpreters.c.id == sa.bindparam("interpreter_id"), is_visible).label("has_interpreter"),
    _live_of_account.scalar_subquery().label("live_sessions"),
    sa.exists().where(nodes.c.id == sa.bindparam("node"), nodes.c.state == "READY").label("has_node"),
)
_insert = sa.insert(sessions)
_named = sa.and_(
    sessions.c.id == sa.bindparam("key_session"),
    sessions.c.account == sa.bindparam("key_account"),
    sessions.c.interpreter_id == sa.bindparam("key_interpreter"),
)
_find = sa.select(sessions).where(_named)
_ending: dict[str, sa.ColumnElement[Any]] = {
    "state": sa.literal_column("'TERMINATED'"),
    "end_reason": sa.bindparam("reason"),
    "ended_at": sa.bindparam("time"),
    "updated_at": sa.bindparam("time"),
}
_end_all = sa.update(sessions).where(_is_live).values(_ending)
_end_one = _end_all.where(sessions.c.id == sa.bindparam("key_session"))
_node_of = sa.select(sessions.c.node).where(sessions.c.id == sa.bindparam("key_session"))
_stop = _end_all.where(_named).returning(sessions)


def create(connection: sa.Connection, session: Session, *, max_live: int, claim: Claim | None, time: datetime) -> Session:
    """See Store.create_session."""
    made_before = _made_before(connection, session, claim)
    if made_before is not None:
        return made_before
    wanted = {"interpreter_id": session.interpreter_id, "account": session.account, "node": session.node}
    asked = connection.execute(_may_start, wanted).one()
    if not asked.has_interpreter:
        raise InterpreterNotFound(session.interpreter_id)
    if asked.live_sessions >= max_live:
        found = f"account {session.account} has {asked.live_sessions} live sessions; stop one, wait until one ends"
        raise QuotaExceeded.of("Concurrent sessions per account", max_live, found=found, setting="CELLBLOCK_MAX_SESSIONS")
    if session.node is not None and not asked.has_node:
        raise NodeClosed(f"node {session.node} drains or has ended and takes no new session")
    connection.execute(_insert, to_row(sessions, session))
    remember(connection, claim, session.id, time)
    return session


def _made_before(connection: sa.Connection, session: Session, claim: Claim | None) -> Session | None:
    """What the token made; None too when another server has discarded it since the token was looked up."""
    session_id = recall(connection, claim)
    if session_id is None:
        return None
    try:
        return get(connection, SessionKey(account=session.account, interpreter_id=session.interpreter_id, session_id=session_id))
    except SessionNotFound:
        release(connection, session_id)
        return None


def discard(connection: sa.Connection, session_id: str) -> None:
    """See Store.discard_session."""
    removed = connection.execute(sa.delete(sessions).where(sessions.c.id == session_id, _is_live)).rowcount
    if removed:
        release(connection, session_id)


def get(connection: sa.Connection, key: SessionKey) -> Session:
    """See Store.get_session."""
    row = connection.execute(_find, _names(key)).mappings().one_or_none()
    if row is None:
        raise SessionNotFound(key.session_id, key.interpreter_id)
    return to_value(Session, row)


def list_page(
    connection: sa.Connection, account: str, interpreter_id: str, *, page: PageRequest, state: SessionState | None
) -> Page[Session]:
    """See Store.list_sessions."""
    get_interpreter(connection, account, interpreter_id)
    query = sa.select(sessions).where(sessions.c.interpreter_id == interpreter_id, sessions.c.account == account)
    if state is not None:
        query = query.where(sessions.c.state == state)
    return fetch_page(connection, query, sessions, Session, page)


def stop(connection: sa.Connection, key: SessionKey, reason: str, *, claim: Claim | None, time: datetime) -> Session:
    """See Store.stop_session."""
    if recall(connection, claim) is not None:
        return get(connection, key)
    row = connection.execute(_stop, _names(key) | {"reason": reason, "time": time}).mappings().one_or_none()
    if row is None:
        raise SessionAlreadyTerminated(key.session_id, end_reason=get(connection, key).end_reason or "")
    remember(connection, claim, key.session_id, time)
    return to_value(Session, row)


def end(connection: sa.Connection, session_id: str, reason: str, time: datetime) -> bool:
    """See Store.end_session."""
    return connection.execute(_end_one, {"key_session": session_id, "reason": reason, "time": time}).rowcount == 1


def end_all(connection: sa.Connection, reason: str, time: datetime) -> int:
    """Those of every node and of none."""
    return connection.execute(_end_all, {"reason": reason, "time": time}).rowcount


def end_without_node(connection: sa.Connection, reason: str, time: datetime) -> int:
    """Those of a single server."""
    return connection.execute(_end_all.where(sessions.c.node.is_(None)), {"reason": reason, "time": time}).rowcount


def end_of_node(connection: sa.Connection, node_id: str, reason: str, time: datetime) -> list[str]:
    """Those of a node of a cluster; their ids."""
    ending = _end_all.where(sessions.c.node == node_id).returning(sessions.c.id)
    return list(connection.execute(ending, {"reason": reason, "time": time}).scalars())


def node_of(connection: sa.Connection, session_id: str) -> str | None:
    """See ClusterStore.session_node."""
    return connection.execute(_node_of, {"key_session": session_id}).scalar_one_or_none()


def count_of_node(connection: sa.Connection, node_id: str) -> int:
    """See ClusterStore.count_node_sessions."""
    count = sa.select(sa.func.count()).select_from(sessions).where(sessions.c.node == node_id, _is_live)
    return int(connection.execute(count).scalar_one())


def count_live(connection: sa.Connection, account: str) -> int:
    """See Store.count_live_sessions."""
    return int(connection.execute(_live_of_account, {"account": account}).scalar_one())


def last_ended(connection: sa.Connection, count: int) -> tuple[Session, ...]:
    """See Store.last_ended_sessions."""
    query = sa.select(sessions).where(sessions.c.state == sa.literal_column("'TERMINATED'"))
    rows = connection.execute(query.order_by(sessions.c.ended_at.desc(), sessions.c.id.desc()).limit(count)).mappings()
    return tuple(to_value(Session, row) for row in rows)


def purge(connection: sa.Connection, ended_before: datetime, limit: int) -> int:
    """Forget sessions that ended before then; how many, at most `limit`."""
    oldest = sa.select(sessions.c.id).where(sessions.c.state == sa.literal_column("'TERMINATED'"), sessions.c.ended_at < ended_before)
    return connection.execute(sa.delete(sessions).where(sessions.c.id.in_(oldest.limit(limit)))).rowcount


def _names(key: SessionKey) -> dict[str, object]:
    return {"key_account": key.account, "key_interpreter": key.interpreter_id, "key_session": key.session_id}
