"""The transactions about usage: rows come in batches, a session's again and again until it is over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from cellblock.model.usage import CallUsage, GroupedBy, SessionUsage, UsageQuery, UsageSum
from cellblock.store.schema import to_row, usage_calls, usage_sessions

_KEY = ("session_id", "day")
_GROUPS: dict[GroupedBy, sa.Column[str]] = {
    "session": usage_sessions.c.session_id,
    "interpreter": usage_sessions.c.interpreter_id,
    "key": usage_sessions.c.key_id,
    "day": usage_sessions.c.day,
}


def _insert_or(table: sa.Table, conflict: str) -> sa.TextClause:
    """Both databases know ON CONFLICT, and SQLAlchemy only in a form for each."""
    names = table.columns.keys()
    return sa.text(
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)}) ON CONFLICT {conflict}"
    ).bindparams(*(sa.bindparam(column.name, type_=column.type) for column in table.columns))


_changes = ", ".join(f"{name} = excluded.{name}" for name in usage_sessions.columns.keys() if name not in _KEY)  # noqa: SIM118
_add_call = _insert_or(usage_calls, "(request_id) DO NOTHING")
_put_session = _insert_or(usage_sessions, f"(session_id, day) DO UPDATE SET {_changes}")


def add(connection: sa.Connection, calls: Sequence[CallUsage], sessions: Sequence[SessionUsage]) -> None:
    """See Store.add_usage."""
    if calls:
        connection.execute(_add_call, [to_row(usage_calls, row) for row in calls])
    if sessions:
        connection.execute(_put_session, [to_row(usage_sessions, row) | {"is_over": int(row.is_over)} for row in sessions])


def sums(connection: sa.Connection, query: UsageQuery) -> tuple[UsageSum, ...]:
    """See Store.sum_usage."""
    table, group = usage_sessions.c, _GROUPS[query.by]
    selection = sa.select(
        table.account.label("account"),
        group.label("group"),
        sa.func.count(sa.distinct(table.session_id)).label("sessions"),
        *(sa.func.sum(column).label(column.name) for column in (table.elapsed_seconds, table.cpu_seconds, table.memory_gb_seconds)),
        sa.func.sum(table.calls).label("calls"),
        sa.func.max(table.memory_peak_bytes).label("memory_peak_bytes"),
    )
    selection = _chosen(selection, query).group_by(table.account, group).order_by(table.account, sa.func.min(table.started_at), group)
    return tuple(UsageSum(**row | {"calls": int(row["calls"])}) for row in map(dict, connection.execute(selection).mappings()))


def calls_of(connection: sa.Connection, session_id: str) -> tuple[CallUsage, ...]:
    """See Store.list_call_usage."""
    query = sa.select(usage_calls).where(usage_calls.c.session_id == session_id).order_by(usage_calls.c.started_at)
    return tuple(CallUsage(**row) for row in map(dict, connection.execute(query).mappings()))


def purge_calls(connection: sa.Connection, before: datetime, limit: int) -> int:
    """Forget calls that began before then; how many, at most `limit`."""
    oldest = sa.select(usage_calls.c.request_id).where(usage_calls.c.started_at < before).limit(limit)
    return connection.execute(sa.delete(usage_calls).where(usage_calls.c.request_id.in_(oldest))).rowcount


def purge_sessions(connection: sa.Connection, before: datetime, limit: int) -> int:
    """Forget sessions of days before that one; how many rows, at most `limit`."""
    key = sa.tuple_(usage_sessions.c.session_id, usage_sessions.c.day)
    oldest = sa.select(usage_sessions.c.session_id, usage_sessions.c.day).where(usage_sessions.c.day < before.date().isoformat())
    return connection.execute(sa.delete(usage_sessions).where(key.in_(oldest.limit(limit)))).rowcount


def _chosen(selection: sa.Select[tuple[object, ...]], query: UsageQuery) -> sa.Select[tuple[object, ...]]:
    table = usage_sessions.c
    if query.account is not None:
        selection = selection.where(table.account == query.account)
    if query.since is not None:
        selection = selection.where(table.day >= query.since.isoformat())
    if query.until is not None:
        selection = selection.where(table.day <= query.until.isoformat())
    return selection
