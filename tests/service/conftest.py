"""One server over a node in memory for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.served import Served, serving


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A fresh data directory."""
    return tmp_path / "data"


@pytest.fixture
async def served(data_dir: Path) -> AsyncIterator[Served]:
    """A running server with its usual settings."""
    async with serving(data_dir) as running:
        yield running
