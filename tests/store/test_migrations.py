"""The schema: from nothing, from before, and from the future."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from cellblock.machine.data_directory import DATABASE_NAME, DataDirectoryError
from cellblock.model.policies import Policy, Statement
from cellblock.model.resources import new_access_key
from cellblock.store.lanes import sqlite_engine
from cellblock.store.migrations import STEPS, migrate
from cellblock.store.schema import metadata
from cellblock.store.sealing import is_sealed
from cellblock.store.sqlite import SqliteStore
from store.things import ACCOUNT, interpreter


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = sqlite_engine(tmp_path / "migrating.db").execution_options(synchronous="FULL")
    yield engine
    engine.dispose()


def versions(engine: sa.Engine) -> list[int]:
    with engine.connect() as connection:
        return [row.version for row in connection.execute(sa.text("SELECT version FROM schema_version"))]


def test_migration_from_nothing_makes_the_tables_that_the_code_uses(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        migrate(connection)
    inspector = sa.inspect(engine)
    made = {table: {column["name"]: column["nullable"] for column in inspector.get_columns(table)} for table in inspector.get_table_names()}
    used = {table.name: {column.name: column.nullable for column in table.columns} for table in metadata.tables.values()}
    assert {table: set(columns) for table, columns in made.items()} == {table: set(columns) for table, columns in used.items()}


def test_second_run_of_the_steps_changes_nothing(engine: sa.Engine) -> None:
    for _ in range(2):
        with engine.begin() as connection:
            migrate(connection)
    assert versions(engine) == [len(STEPS)]


def test_only_missing_steps_run_and_rows_stay(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        migrate(connection)
    later = (*STEPS, ("ALTER TABLE access_keys ADD COLUMN colour TEXT", "CREATE TABLE extra (id TEXT)"))
    with engine.begin() as connection:
        migrate(connection, later)
    assert versions(engine) == [len(STEPS) + 1]
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM interpreters")).scalar_one() == 1


def test_failing_step_leaves_the_database_as_it_was(engine: sa.Engine) -> None:
    broken = (*STEPS, ("CREATE TABLE extra (id TEXT)", "CREATE NONSENSE"))
    with pytest.raises(sa.exc.OperationalError), engine.begin() as connection:
        migrate(connection, broken)
    assert sa.inspect(engine).get_table_names() == []


async def test_database_of_a_newer_version_is_refused_untouched(data_dir: Path) -> None:
    await (await SqliteStore.open(data_dir)).close()
    with closing(sqlite3.connect(data_dir / DATABASE_NAME)) as connection, connection:
        connection.execute("UPDATE schema_version SET version = 1000")
    with pytest.raises(DataDirectoryError, match=rf"schema version is 1000 .* knows up to {len(STEPS)}"):
        await SqliteStore.open(data_dir)
    with closing(sqlite3.connect(data_dir / DATABASE_NAME)) as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(1000,)]


@pytest.fixture
def damaged_data_dir(data_dir: Path) -> Path:
    data_dir.mkdir(mode=0o700)
    (data_dir / DATABASE_NAME).write_bytes(b"not a database, but long enough to be looked at" * 50)
    return data_dir


async def test_file_that_is_no_database_is_refused(damaged_data_dir: Path) -> None:
    with pytest.raises(DataDirectoryError, match=DATABASE_NAME):
        await SqliteStore.open(damaged_data_dir)


async def test_file_keeps_its_content_over_a_restart(data_dir: Path) -> None:
    made = interpreter()
    store = await SqliteStore.open(data_dir)
    await store.create_interpreter(made)
    await store.close()
    store = await SqliteStore.open(data_dir)
    assert await store.get_interpreter(ACCOUNT, made.id) == made
    await store.close()


FIRST_VERSION_KEY = ("AKIAOLD", "an old secret", ACCOUNT, "first", '["bedrock-agentcore:Get*"]', '["arn:aws:x","arn:aws:y"]', 1000)


@pytest.fixture
def first_version_data_dir(data_dir: Path) -> Path:
    data_dir.mkdir(mode=0o700)
    engine = sqlite_engine(data_dir / DATABASE_NAME).execution_options(synchronous="FULL")
    with engine.begin() as connection:
        migrate(connection, STEPS[:1])
        connection.exec_driver_sql("INSERT INTO access_keys VALUES (?, ?, ?, ?, ?, ?, ?)", FIRST_VERSION_KEY)
    engine.dispose()
    return data_dir


async def test_key_of_the_first_version_is_kept_with_its_rights_and_its_secret_is_sealed(first_version_data_dir: Path) -> None:
    store = await SqliteStore.open(first_version_data_dir)
    key = await store.keep_first_access_key(new_access_key(account=ACCOUNT, name="first"))
    assert (key.id, key.secret, key.account, key.name) == FIRST_VERSION_KEY[:4]
    assert key.policy == Policy((Statement("Allow", ("bedrock-agentcore:Get*",), ("arn:aws:x", "arn:aws:y")),))
    assert [account.id for account in await store.list_accounts()] == [ACCOUNT]
    await store.close()
    with closing(sqlite3.connect(first_version_data_dir / DATABASE_NAME)) as connection:
        ((secret,),) = connection.execute("SELECT secret FROM access_keys").fetchall()
    assert is_sealed(secret)
