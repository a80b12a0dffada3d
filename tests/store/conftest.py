"""The stores that the contract suite runs over, on real files."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cellblock.store.protocol import Store
from cellblock.store.sqlite import SqliteStore
from store.things import SteppingClock

STORES = {"sqlite": SqliteStore.open}


@pytest.fixture
def clock() -> SteppingClock:
    return SteppingClock()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(params=sorted(STORES))
async def store(request: pytest.FixtureRequest, data_dir: Path, clock: SteppingClock) -> AsyncIterator[Store]:
    opened = await STORES[request.param](data_dir, clock=clock)
    yield opened
    await opened.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("store-")]
