"""Client tokens: a request that comes again is answered with what it made the first time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from cellblock.errors import IdempotencyMismatch
from cellblock.model.resources import Claim
from cellblock.store.schema import claims

MOST_VALUES = 500  # of one statement; SQLite has a limit

_same_token = sa.and_(
    claims.c.account == sa.bindparam("claim_account"),
    claims.c.operation == sa.bindparam("claim_operation"),
    claims.c.token == sa.bindparam("claim_token"),
)
_find = sa.select(claims.c.digest, claims.c.resource_id).where(_same_token)
_insert = sa.insert(claims)


def recall(connection: sa.Connection, claim: Claim | None) -> str | None:
    """The id of what the token made before. Raises IdempotencyMismatch when it came with another request."""
    if claim is None:
        return None
    token = {"claim_account": claim.account, "claim_operation": claim.operation, "claim_token": claim.token}
    row = connection.execute(_find, token).one_or_none()
    if row is None:
        return None
    if row.digest != claim.digest:
        raise IdempotencyMismatch
    return str(row.resource_id)


def remember(connection: sa.Connection, claim: Claim | None, resource_id: str, time: datetime) -> None:
    """Tie the token to what its request made."""
    if claim is None:
        return
    connection.execute(
        _insert,
        {
            "account": claim.account,
            "operation": claim.operation,
            "token": claim.token,
            "digest": claim.digest,
            "resource_id": resource_id,
            "created_at": time,
        },
    )


def release(connection: sa.Connection, resource_id: str) -> None:
    """Free every token of a thing that is no more."""
    connection.execute(sa.delete(claims).where(claims.c.resource_id == resource_id))


def release_starts(connection: sa.Connection, session_ids: Sequence[str]) -> None:
    """Free the tokens that started these sessions: the same request makes another one then."""
    for first in range(0, len(session_ids), MOST_VALUES):
        some = session_ids[first : first + MOST_VALUES]
        is_start = claims.c.operation == "StartCodeInterpreterSession"
        connection.execute(sa.delete(claims).where(claims.c.resource_id.in_(some), is_start))


def forget_claims(connection: sa.Connection, before: datetime, limit: int) -> int:
    """Forget tokens that are older; how many, at most `limit`."""
    oldest = sa.select(claims.c.account, claims.c.operation, claims.c.token).where(claims.c.created_at < before).limit(limit)
    key = sa.tuple_(claims.c.account, claims.c.operation, claims.c.token)
    return connection.execute(sa.delete(claims).where(key.in_(oldest))).rowcount
