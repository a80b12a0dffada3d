"""The stores that the contract suite runs over: real files, and a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cellblock.store.postgres import PostgresStore
from cellblock.store.protocol import Store
from cellblock.store.sqlite import SqliteStore
from postgres_server import PostgresServer, postgres
from store.things import SteppingClock


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests; each that asks has a database of its own in it."""
    with postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, data_dir: Path, clock: SteppingClock) -> AsyncIterator[Store]:
    opened: SqliteStore | PostgresStore
    if request.param == "sqlite":
        opened = await SqliteStore.open(data_dir, clock=clock)
    else:
        url = request.getfixturevalue("postgres_server").emptied()
        opened = await PostgresStore.open(url, data_dir, clock=clock)
    yield opened
    await opened.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("store-")]
