"""The transactions about accounts and their access keys. Each change counts, so that servers know when to look again."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from cellblock.errors import AccessKeyNotFound, AccountExists, AccountNotFound, KeyNameInUse, UnknownKey
from cellblock.machine.data_directory import DataDirectoryError
from cellblock.model.resources import AccessKey, Account
from cellblock.store.schema import access_keys, accounts, key_changes, secrets_check, to_row, to_value
from cellblock.store.sealing import PREFIX, Sealer

KEYS_CHANNEL = "cellblock_keys"
CHECK_OWNER = "secrets_check"

_find = sa.select(access_keys).where(access_keys.c.id == sa.bindparam("key_id"))
_of_name = sa.select(access_keys).where(access_keys.c.name == sa.bindparam("name"))
_oldest = _of_name.order_by(access_keys.c.created_at, access_keys.c.id).limit(1)
_a_sealed_one = sa.select(access_keys.c.id, access_keys.c.secret).where(access_keys.c.secret.startswith(PREFIX)).limit(1)
_in_the_clear = sa.select(access_keys.c.id, access_keys.c.secret).where(~access_keys.c.secret.startswith(PREFIX))
_check = sa.select(sa.literal(CHECK_OWNER).label("id"), secrets_check.c.sealed.label("secret"))
_changed = sa.update(key_changes).values(version=key_changes.c.version + 1)


def get(connection: sa.Connection, key_id: str, sealer: Sealer) -> AccessKey:
    """See Store.get_access_key."""
    row = connection.execute(_find, {"key_id": key_id}).mappings().one_or_none()
    if row is None:
        raise UnknownKey
    return _opened(row, sealer)


def first(connection: sa.Connection, name: str, sealer: Sealer) -> AccessKey | None:
    """The oldest key of that name; None too while `keep_first` has something to write."""
    row = connection.execute(_oldest, {"name": name}).mappings().one_or_none()
    if row is None or not has_sealer(connection) or connection.execute(_in_the_clear).first() is not None:
        return None
    return _opened(row, sealer)


def keep_first(connection: sa.Connection, candidate: AccessKey, sealer: Sealer) -> AccessKey:
    """See Store.keep_first_access_key."""
    check_sealer(connection, sealer)
    _seal_all(connection, sealer)
    row = connection.execute(_oldest, {"name": candidate.name}).mappings().one_or_none()
    if row is not None:
        return _opened(row, sealer)
    if connection.execute(sa.select(accounts.c.id).where(accounts.c.id == candidate.account)).first() is None:
        account = Account(id=candidate.account, name=candidate.account, created_at=candidate.created_at)
        connection.execute(sa.insert(accounts), to_row(accounts, account))
    return create(connection, candidate, sealer)


def create(connection: sa.Connection, key: AccessKey, sealer: Sealer) -> AccessKey:
    """See Store.create_access_key."""
    if connection.execute(sa.select(accounts.c.id).where(accounts.c.id == key.account)).first() is None:
        raise AccountNotFound(key.account)
    same_name = sa.select(access_keys.c.id).where(
        access_keys.c.account == key.account, access_keys.c.name == key.name, access_keys.c.revoked_at.is_(None)
    )
    if connection.execute(same_name).first() is not None:
        raise KeyNameInUse(key.name, key.account)
    check_sealer(connection, sealer)
    connection.execute(sa.insert(access_keys), to_row(access_keys, key) | {"secret": sealer.seal(key.secret, key.id)})
    _tell_change(connection)
    return key


def list_all(connection: sa.Connection, account: str | None, sealer: Sealer) -> tuple[AccessKey, ...]:
    """See Store.list_access_keys."""
    query = sa.select(access_keys).order_by(access_keys.c.account, access_keys.c.created_at, access_keys.c.id)
    if account is not None:
        query = query.where(access_keys.c.account == account)
    return tuple(_opened(row, sealer) for row in connection.execute(query).mappings())


def revoke(connection: sa.Connection, key_id: str, sealer: Sealer, time: datetime) -> AccessKey:
    """See Store.revoke_access_key."""
    revocation = sa.update(access_keys).where(access_keys.c.id == key_id, access_keys.c.revoked_at.is_(None)).values(revoked_at=time)
    row = connection.execute(revocation.returning(access_keys)).mappings().one_or_none()
    if row is None:
        raise AccessKeyNotFound(key_id)
    _tell_change(connection)
    return _opened(row, sealer)


def rotate(connection: sa.Connection, key_id: str, secret: str, sealer: Sealer, *, old_until: datetime | None) -> AccessKey:
    """See Store.rotate_access_key."""
    check_sealer(connection, sealer)
    is_in_force = sa.and_(access_keys.c.id == key_id, access_keys.c.revoked_at.is_(None))
    rotation = sa.update(access_keys).where(is_in_force).values(
        secret=sealer.seal(secret, key_id),
        old_secret=None if old_until is None else access_keys.c.secret,
        old_secret_until=old_until,
    )  # fmt: skip
    row = connection.execute(rotation.returning(access_keys)).mappings().one_or_none()
    if row is None:
        raise AccessKeyNotFound(key_id)
    _tell_change(connection)
    return _opened(row, sealer)


def create_account(connection: sa.Connection, account: Account) -> Account:
    """See Store.create_account."""
    same = sa.select(accounts.c.id).where(sa.or_(accounts.c.id == account.id, accounts.c.name == account.name))
    if connection.execute(same).first() is not None:
        raise AccountExists(account.id, account.name)
    connection.execute(sa.insert(accounts), to_row(accounts, account))
    return account


def list_accounts(connection: sa.Connection) -> tuple[Account, ...]:
    """See Store.list_accounts."""
    return tuple(to_value(Account, row) for row in connection.execute(sa.select(accounts).order_by(accounts.c.id)).mappings())


def check_sealer(connection: sa.Connection, sealer: Sealer) -> None:
    """All that use this database seal with one key, which the first to come has set. Raises DataDirectoryError."""
    if problem := sealer_problem(connection, sealer):
        raise DataDirectoryError(problem)
    if not has_sealer(connection):
        connection.execute(sa.insert(secrets_check), {"sealed": sealer.seal(CHECK_OWNER, CHECK_OWNER)})


def has_sealer(connection: sa.Connection) -> bool:
    """Whether somebody has set the key with which all seal."""
    return connection.execute(_check).first() is not None


def sealer_problem(connection: sa.Connection, sealer: Sealer) -> str:
    """What is wrong with the key file, and the way out; nothing when it opens the secrets, or there are none."""
    row = connection.execute(_check).first() or connection.execute(_a_sealed_one).first()
    if row is None or sealer.opens(row.secret, row.id):
        return ""
    problem = "is not the file" if sealer.has_key() else "is missing: it is the file"
    return (
        f"{sealer.key_file} {problem} that opens the secrets in the database; copy that one from the machine that has it, or from"
        " a back-up, and name its place with CELLBLOCK_SECRETS_KEY_FILE when it is another"
    )


def _opened(row: RowMapping, sealer: Sealer) -> AccessKey:
    values = {str(name): value for name, value in row.items()}
    values["secret"] = sealer.open(values["secret"], values["id"])
    if values["old_secret"] is not None:
        values["old_secret"] = sealer.open(values["old_secret"], values["id"])
    return AccessKey(**values)


def _tell_change(connection: sa.Connection) -> None:
    connection.execute(_changed)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"NOTIFY {KEYS_CHANNEL}")


def _seal_all(connection: sa.Connection, sealer: Sealer) -> None:
    """Secrets that an earlier version kept in the clear."""
    for row in connection.execute(_in_the_clear).all():
        sealed = sealer.seal(row.secret, row.id)
        connection.execute(sa.update(access_keys).where(access_keys.c.id == row.id).values(secret=sealed))
