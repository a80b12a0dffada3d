"""The transactions about interpreters. A deleted one stays as long as sessions of it are remembered."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from cellblock.errors import AccessDenied, InterpreterInUse, InterpreterNotFound, NameInUse, QuotaExceeded
from cellblock.model.resources import (
    BUILT_IN_INTERPRETER,
    BUILT_IN_INTERPRETER_ID,
    SYSTEM_ACCOUNT,
    Claim,
    Interpreter,
    InterpreterKind,
    Page,
    PageRequest,
)
from cellblock.store.claims import recall, release, remember
from cellblock.store.pages import fetch_page
from cellblock.store.schema import interpreters, sessions, to_row, to_value

is_visible = sa.and_(
    interpreters.c.account.in_((sa.bindparam("account"), SYSTEM_ACCOUNT)),
    interpreters.c.status != "DELETED",
)
_find = sa.select(interpreters).where(interpreters.c.id == sa.bindparam("interpreter_id"), is_visible)


def create(
    connection: sa.Connection, interpreter: Interpreter, *, max_kept: int | None, claim: Claim | None, time: datetime
) -> Interpreter:
    """See Store.create_interpreter."""
    made_before = recall(connection, claim)
    if made_before is not None:
        return get(connection, interpreter.account, made_before)
    same_name = sa.select(interpreters.c.id).where(
        interpreters.c.account == interpreter.account, interpreters.c.name == interpreter.name, interpreters.c.status != "DELETED"
    )
    if connection.execute(same_name).first() is not None:
        raise NameInUse(interpreter.name)
    if max_kept is not None:
        _refuse_when_full(connection, interpreter.account, max_kept)
    connection.execute(sa.insert(interpreters), to_row(interpreters, interpreter))
    remember(connection, claim, interpreter.id, time)
    return interpreter


def get(connection: sa.Connection, account: str, interpreter_id: str) -> Interpreter:
    """See Store.get_interpreter."""
    if interpreter_id == BUILT_IN_INTERPRETER_ID:
        return BUILT_IN_INTERPRETER
    row = connection.execute(_find, {"interpreter_id": interpreter_id, "account": account}).mappings().one_or_none()
    if row is None:
        raise InterpreterNotFound(interpreter_id)
    return to_value(Interpreter, row)


def list_page(connection: sa.Connection, account: str, page: PageRequest, kind: InterpreterKind | None) -> Page[Interpreter]:
    """See Store.list_interpreters."""
    query = sa.select(interpreters).where(is_visible).params(account=account)
    if kind is not None:
        query = query.where(interpreters.c.kind == kind)
    return fetch_page(connection, query, interpreters, Interpreter, page)


def delete(connection: sa.Connection, account: str, interpreter_id: str, *, claim: Claim | None, time: datetime) -> Interpreter:
    """See Store.delete_interpreter."""
    if interpreter_id == BUILT_IN_INTERPRETER_ID:
        raise AccessDenied(f"code interpreter {interpreter_id} is built in and cannot be deleted")
    mine = sa.and_(interpreters.c.id == interpreter_id, interpreters.c.account == account)
    if recall(connection, claim) is not None:
        return to_value(Interpreter, connection.execute(sa.select(interpreters).where(mine)).mappings().one())
    _refuse_when_in_use(connection, account, interpreter_id)
    deletion = sa.update(interpreters).where(mine, interpreters.c.status == "READY").values(status="DELETED", updated_at=time)
    row = connection.execute(deletion.returning(interpreters)).mappings().one_or_none()
    if row is None:
        raise InterpreterNotFound(interpreter_id)
    release(connection, interpreter_id)
    remember(connection, claim, interpreter_id, time)
    return to_value(Interpreter, row)


def purge(connection: sa.Connection, deleted_before: datetime, limit: int) -> int:
    """Forget interpreters deleted before then of which no session is remembered; how many, at most `limit`."""
    has_sessions = sa.exists().where(sessions.c.interpreter_id == interpreters.c.id)
    is_deleted = sa.and_(interpreters.c.status == "DELETED", interpreters.c.updated_at < deleted_before)
    forgotten = sa.select(interpreters.c.id).where(is_deleted, ~has_sessions).limit(limit)
    return connection.execute(sa.delete(interpreters).where(interpreters.c.id.in_(forgotten))).rowcount


def _refuse_when_full(connection: sa.Connection, account: str, max_kept: int) -> None:
    kept = sa.select(sa.func.count()).where(interpreters.c.account == account, interpreters.c.status != "DELETED")
    count = connection.execute(kept).scalar_one()
    if count >= max_kept:
        found = f"account {account} has {count} interpreters; delete one"
        raise QuotaExceeded.of("Code interpreters per account", max_kept, found=found, setting="CELLBLOCK_MAX_INTERPRETERS")


def _refuse_when_in_use(connection: sa.Connection, account: str, interpreter_id: str) -> None:
    live = sa.select(sa.func.count()).where(
        sessions.c.account == account, sessions.c.interpreter_id == interpreter_id, sessions.c.state == "READY"
    )
    count = connection.execute(live).scalar_one()
    if count:
        raise InterpreterInUse(interpreter_id, live_sessions=count)
