"""Pages of a list, newest first, each beginning after the last row of the one before."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import sqlalchemy as sa

from cellblock.errors import FieldProblem, ValidationFailed
from cellblock.model.resources import Page, PageRequest
from cellblock.store.schema import EPOCH, MICROSECOND, Instant, ValueT, to_microseconds, to_value

MAX_TOKEN_LENGTH = 2048
MAX_MICROSECONDS = 2**53


def fetch_page(connection: sa.Connection, query: sa.Select[Any], table: sa.Table, kind: type[ValueT], page: PageRequest) -> Page[ValueT]:
    """The rows of the query that belong to this page."""
    if page.next_token is not None:
        query = query.where(sa.tuple_(table.c.created_at, table.c.id) < _after(page.next_token))
    newest_first = query.order_by(table.c.created_at.desc(), table.c.id.desc())
    rows = connection.execute(newest_first.limit(page.max_results + 1)).mappings().all()
    items = tuple(to_value(kind, row) for row in rows[: page.max_results])
    has_more = len(rows) > page.max_results
    return Page(items, _encode(to_microseconds(items[-1].created_at), items[-1].id) if has_more else None)


def _encode(created_at: int, last_id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([created_at, last_id]).encode()).decode().rstrip("=")


def _after(token: str) -> sa.Tuple:
    microseconds, last_id = _decode(token)
    return sa.tuple_(sa.literal(EPOCH + microseconds * MICROSECOND, Instant), sa.literal(last_id))


def _decode(token: str) -> tuple[int, str]:
    try:
        padded = token[:MAX_TOKEN_LENGTH].encode("ascii") + b"=" * (-len(token) % 4)
        match json.loads(base64.b64decode(padded, altchars=b"-_", validate=True)):
            case [int(microseconds), str(last_id)] if 0 <= microseconds < MAX_MICROSECONDS and last_id.isascii():
                return microseconds, last_id
    except (binascii.Error, UnicodeError, json.JSONDecodeError, RecursionError):
        raise _not_a_token() from None
    raise _not_a_token()


def _not_a_token() -> ValidationFailed:
    problem = "nextToken is not one that a list returned"
    return ValidationFailed(problem, fields=(FieldProblem("nextToken", problem),))
