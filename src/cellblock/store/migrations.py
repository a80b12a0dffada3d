"""The steps that bring a database to the schema of this version."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from cellblock.model.resources import BUILT_IN_INTERPRETER
from cellblock.store.schema import interpreters, schema_version, to_row

# A step is never edited once it was released: databases out there have run it. Step n leads from version n - 1 to n.
STEPS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE interpreters (
            id TEXT PRIMARY KEY,
            account TEXT NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('SYSTEM', 'CUSTOM')),
            name TEXT NOT NULL,
            status TEXT NOT NULL,
            description TEXT,
            role_arn TEXT,
            network_mode TEXT NOT NULL,
            network_configuration TEXT NOT NULL,
            certificates TEXT NOT NULL,
            filesystems TEXT NOT NULL,
            tags TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
        )
        """,
        "CREATE UNIQUE INDEX interpreters_name ON interpreters (account, name) WHERE status <> 'DELETED'",
        "CREATE INDEX interpreters_newest ON interpreters (created_at, id)",
        """
        CREATE TABLE sessions (
            id TEXT PRIMARY KEY,
            interpreter_id TEXT NOT NULL REFERENCES interpreters (id),
            account TEXT NOT NULL,
            name TEXT,
            description TEXT,
            state TEXT NOT NULL CHECK (state IN ('READY', 'TERMINATED')),
            timeout_seconds INTEGER NOT NULL,
            certificates TEXT NOT NULL,
            filesystems TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            ended_at BIGINT,
            end_reason TEXT,
            CHECK ((state = 'TERMINATED') = (ended_at IS NOT NULL)),
            CHECK ((state = 'TERMINATED') = (end_reason IS NOT NULL))
        )
        """,
        "CREATE INDEX sessions_live ON sessions (account, interpreter_id) WHERE state = 'READY'",
        "CREATE INDEX sessions_newest ON sessions (interpreter_id, account, created_at, id)",
        "CREATE INDEX sessions_ended ON sessions (ended_at) WHERE state = 'TERMINATED'",
        """
        CREATE TABLE claims (
            account TEXT NOT NULL,
            operation TEXT NOT NULL,
            token TEXT NOT NULL,
            digest TEXT NOT NULL,
            resource_id TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            PRIMARY KEY (account, operation, token)
        )
        """,
        "CREATE INDEX claims_resource ON claims (resource_id)",
        "CREATE INDEX claims_oldest ON claims (created_at)",
        """
        CREATE TABLE access_keys (
            id TEXT PRIMARY KEY,
            secret TEXT NOT NULL,
            account TEXT NOT NULL,
            name TEXT NOT NULL,
            actions TEXT NOT NULL,
            resources TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            UNIQUE (account, name)
        )
        """,
    ),
    (
        "CREATE TABLE accounts (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at BIGINT NOT NULL)",
        "INSERT INTO accounts SELECT account, account, min(created_at) FROM access_keys GROUP BY account",
        """
        CREATE TABLE keys_with_policies (
            id TEXT PRIMARY KEY,
            secret TEXT NOT NULL,
            account TEXT NOT NULL REFERENCES accounts (id),
            name TEXT NOT NULL,
            policy TEXT NOT NULL,
            created_at BIGINT NOT NULL,
            expires_at BIGINT,
            revoked_at BIGINT,
            old_secret TEXT,
            old_secret_until BIGINT,
            CHECK ((old_secret IS NULL) = (old_secret_until IS NULL))
        )
        """,
        """
        INSERT INTO keys_with_policies (id, secret, account, name, policy, created_at)
        SELECT id, secret, account, name, '{"Statement":[{"Effect":"Allow","Action":' || actions || ',"Resource":' || resources || '}]}',
            created_at
        FROM access_keys
        """,
        "DROP TABLE access_keys",
        "ALTER TABLE keys_with_policies RENAME TO access_keys",
        "CREATE UNIQUE INDEX access_keys_name ON access_keys (account, name) WHERE revoked_at IS NULL",
        "CREATE TABLE key_changes (version BIGINT NOT NULL)",
        "INSERT INTO key_changes VALUES (1)",
    ),
    (
        """
        CREATE TABLE usage_calls (
            request_id TEXT PRIMARY KEY,
            session_id TEXT NOT NULL,
            account TEXT NOT NULL,
            interpreter_id TEXT NOT NULL,
            key_id TEXT NOT NULL,
            tool TEXT NOT NULL,
            started_at BIGINT NOT NULL,
            elapsed_seconds DOUBLE PRECISION NOT NULL,
            cpu_seconds DOUBLE PRECISION NOT NULL,
            memory_gb_seconds DOUBLE PRECISION NOT NULL,
            memory_peak_bytes BIGINT NOT NULL
        )
        """,
        "CREATE INDEX usage_calls_oldest ON usage_calls (started_at)",
        """
        CREATE TABLE usage_sessions (
            session_id TEXT NOT NULL,
            day TEXT NOT NULL,
            account TEXT NOT NULL,
            interpreter_id TEXT NOT NULL,
            key_id TEXT NOT NULL,
            region TEXT NOT NULL,
            started_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL,
            elapsed_seconds DOUBLE PRECISION NOT NULL,
            cpu_seconds DOUBLE PRECISION NOT NULL,
            memory_gb_seconds DOUBLE PRECISION NOT NULL,
            memory_peak_bytes BIGINT NOT NULL,
            calls BIGINT NOT NULL,
            is_over INTEGER NOT NULL,
            PRIMARY KEY (session_id, day)
        )
        """,
        "CREATE INDEX usage_sessions_day ON usage_sessions (day)",
    ),
    (
        """
        CREATE TABLE nodes (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            url TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('READY', 'DRAINING', 'ENDED')),
            beat BIGINT NOT NULL,
            sessions INTEGER NOT NULL,
            sessions_capacity INTEGER NOT NULL,
            pool_ready INTEGER NOT NULL,
            pool_size INTEGER NOT NULL,
            memory_free_bytes BIGINT NOT NULL,
            memory_total_bytes BIGINT NOT NULL,
            cpus DOUBLE PRECISION NOT NULL,
            started_at BIGINT NOT NULL,
            seen_at BIGINT NOT NULL,
            ended_at BIGINT,
            end_reason TEXT,
            CHECK ((state = 'ENDED') = (ended_at IS NOT NULL)),
            CHECK ((state = 'ENDED') = (end_reason IS NOT NULL))
        )
        """,
        "CREATE UNIQUE INDEX nodes_up ON nodes (name) WHERE state <> 'ENDED'",
        "ALTER TABLE sessions ADD COLUMN node TEXT",
        "CREATE INDEX sessions_of_node ON sessions (node) WHERE state = 'READY'",
        """
        CREATE TABLE buckets (
            account TEXT NOT NULL,
            operation TEXT NOT NULL,
            tokens DOUBLE PRECISION NOT NULL,
            granted INTEGER NOT NULL,
            filled_at DOUBLE PRECISION NOT NULL,
            PRIMARY KEY (account, operation)
        )
        """,
        "CREATE TABLE secrets_check (sealed TEXT NOT NULL)",
    ),
)


class SchemaTooNew(Exception):
    """The database was written by a later version of the program."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(f"its schema version is {found} and this version of Cellblock knows up to {known}; start a newer Cellblock")


def is_current(connection: sa.Connection) -> bool:
    """Whether there is nothing to do, so that nobody has to wait for a start of one server among many."""
    if not sa.inspect(connection).has_table(schema_version.name):
        return False
    return connection.execute(sa.select(schema_version.c.version)).scalar_one_or_none() == len(STEPS)


def migrate(connection: sa.Connection, steps: Sequence[Sequence[str]] = STEPS) -> None:
    """Run the missing steps; the caller's transaction makes them happen all or not at all. Raises SchemaTooNew."""
    connection.execute(sa.text("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"))
    found = connection.execute(sa.select(schema_version.c.version)).scalar_one_or_none()
    if found is not None and found > len(steps):
        raise SchemaTooNew(found, len(steps))
    for statement in (statement for step in steps[found or 0 :] for statement in step):
        connection.exec_driver_sql(statement)
    if found is None:
        connection.execute(sa.insert(schema_version).values(version=len(steps)))
        connection.execute(sa.insert(interpreters), to_row(interpreters, BUILT_IN_INTERPRETER))
    elif found < len(steps):
        connection.execute(sa.update(schema_version).values(version=len(steps)))
