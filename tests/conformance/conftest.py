"""One real server for all of these tests, and a session of it for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from running_server import RunningServer, ServedSession, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with room for the sessions of all tests."""
    with serving(tmp_path_factory.mktemp("server") / "data", max_sessions=1000) as running:
        yield running


@pytest.fixture
def session(server: RunningServer) -> Iterator[ServedSession]:
    """A fresh session."""
    with server.session() as fresh:
        yield fresh
