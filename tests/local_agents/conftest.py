"""One real server for the agents' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from running_server import RunningServer, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with its usual settings."""
    with serving(tmp_path_factory.mktemp("agents") / "data") as running:
        yield running
