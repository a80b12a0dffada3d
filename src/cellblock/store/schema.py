"""The tables of the store and how a row becomes a value."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Dialect, RowMapping

from cellblock.model.policies import Policy
from cellblock.model.resources import AccessKey, Account, Interpreter, Session
from cellblock.model.usage import CallUsage, SessionUsage

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TableValue = Interpreter | Session | AccessKey | Account | CallUsage | SessionUsage
ValueT = TypeVar("ValueT", Interpreter, Session, AccessKey, Account)


def to_microseconds(instant: datetime) -> int:
    """Whole microseconds since 1970, exact both ways."""
    return (instant - EPOCH) // MICROSECOND


class Instant(sa.types.TypeDecorator[datetime]):
    """A time with its zone, kept as a number because not every database keeps zones."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To the database."""
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        return None if value is None else EPOCH + value * MICROSECOND


class JsonText(sa.types.TypeDecorator[Any]):
    """A JSON object as text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        """To the database."""
        return json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """From the database."""
        return json.loads(value or "null")


class JsonTuple(JsonText):
    """A JSON list as text, a tuple in the model."""

    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[Any, ...]:
        """From the database."""
        return tuple(json.loads(value or "[]"))


class PolicyText(sa.types.TypeDecorator[Policy]):
    """A policy in IAM's JSON."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Policy | None, dialect: Dialect) -> str | None:
        """To the database."""
        return None if value is None else value.to_json()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Policy | None:
        """From the database."""
        return None if value is None else Policy.parse(value)


metadata = sa.MetaData()

schema_version = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, nullable=False))

interpreters = sa.Table(
    "interpreters",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("role_arn", sa.Text),
    sa.Column("network_mode", sa.Text, nullable=False),
    sa.Column("network_configuration", JsonText, nullable=False),
    sa.Column("certificates", JsonTuple, nullable=False),
    sa.Column("filesystems", JsonTuple, nullable=False),
    sa.Column("tags", JsonText, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("interpreter_id", sa.Text, sa.ForeignKey("interpreters.id"), nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("name", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("timeout_seconds", sa.Integer, nullable=False),
    sa.Column("certificates", JsonTuple, nullable=False),
    sa.Column("filesystems", JsonTuple, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
    sa.Column("end_reason", sa.Text),
    sa.Column("node", sa.Text),
)

nodes = sa.Table(
    "nodes",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("beat", sa.BigInteger, nullable=False),
    sa.Column("sessions", sa.Integer, nullable=False),
    sa.Column("sessions_capacity", sa.Integer, nullable=False),
    sa.Column("pool_ready", sa.Integer, nullable=False),
    sa.Column("pool_size", sa.Integer, nullable=False),
    sa.Column("memory_free_bytes", sa.BigInteger, nullable=False),
    sa.Column("memory_total_bytes", sa.BigInteger, nullable=False),
    sa.Column("cpus", sa.Double, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
    sa.Column("end_reason", sa.Text),
)

buckets = sa.Table(
    "buckets",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("operation", sa.Text, primary_key=True),
    sa.Column("tokens", sa.Double, nullable=False),
    sa.Column("granted", sa.Integer, nullable=False),
    sa.Column("filled_at", sa.Double, nullable=False),
)

claims = sa.Table(
    "claims",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("operation", sa.Text, primary_key=True),
    sa.Column("token", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("resource_id", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)

access_keys = sa.Table(
    "access_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("account", sa.Text, sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("policy", PolicyText, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("expires_at", Instant),
    sa.Column("revoked_at", Instant),
    sa.Column("old_secret", sa.Text),
    sa.Column("old_secret_until", Instant),
)

usage_calls = sa.Table(
    "usage_calls",
    metadata,
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("session_id", sa.Text, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("interpreter_id", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("tool", sa.Text, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("elapsed_seconds", sa.Double, nullable=False),
    sa.Column("cpu_seconds", sa.Double, nullable=False),
    sa.Column("memory_gb_seconds", sa.Double, nullable=False),
    sa.Column("memory_peak_bytes", sa.BigInteger, nullable=False),
)

usage_sessions = sa.Table(
    "usage_sessions",
    metadata,
    sa.Column("session_id", sa.Text, primary_key=True),
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("interpreter_id", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("region", sa.Text, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
    sa.Column("elapsed_seconds", sa.Double, nullable=False),
    sa.Column("cpu_seconds", sa.Double, nullable=False),
    sa.Column("memory_gb_seconds", sa.Double, nullable=False),
    sa.Column("memory_peak_bytes", sa.BigInteger, nullable=False),
    sa.Column("calls", sa.BigInteger, nullable=False),
    sa.Column("is_over", sa.Integer, nullable=False),
)

secrets_check = sa.Table("secrets_check", metadata, sa.Column("sealed", sa.Text, nullable=False))

key_changes = sa.Table("key_changes", metadata, sa.Column("version", sa.BigInteger, nullable=False))


def to_row(table: sa.Table, value: TableValue) -> dict[str, Any]:
    """The row of a value: its fields are named as the columns."""
    return {name: getattr(value, name) for name in table.columns.keys()}  # noqa: SIM118 - iterating a collection gives columns


def to_value(kind: type[ValueT], row: RowMapping) -> ValueT:
    """The value of a whole row."""
    return kind(**{str(name): value for name, value in row.items()})
