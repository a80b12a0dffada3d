"""The transactions about access keys."""

from __future__ import annotations

import sqlalchemy as sa

from cellblock.errors import UnknownKey
from cellblock.model import AccessKey
from cellblock.store.schema import access_keys, to_row, to_value

_find = sa.select(access_keys).where(access_keys.c.id == sa.bindparam("key_id"))
_oldest = sa.select(access_keys).order_by(access_keys.c.created_at, access_keys.c.id).limit(1)


def get(connection: sa.Connection, key_id: str) -> AccessKey:
    """See Store.get_access_key."""
    row = connection.execute(_find, {"key_id": key_id}).mappings().one_or_none()
    if row is None:
        raise UnknownKey
    return to_value(AccessKey, row)


def keep_first(connection: sa.Connection, candidate: AccessKey) -> AccessKey:
    """See Store.keep_first_access_key."""
    row = connection.execute(_oldest).mappings().one_or_none()
    if row is not None:
        return to_value(AccessKey, row)
    connection.execute(sa.insert(access_keys), to_row(access_keys, candidate))
    return candidate
