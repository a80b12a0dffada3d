"""One real server for the client's tests, and its address as a client has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cellblock.client import Client, Server, Session
from running_server import REGION, RunningServer, serving


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with room for the sessions of all tests."""
    with serving(tmp_path_factory.mktemp("client") / "data", max_sessions=1000) as server:
        yield server


@pytest.fixture(scope="session")
def server(running: RunningServer) -> Server:
    """Where it is."""
    return Server(running.url, running.key_id, running.secret, REGION)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of it."""
    with Client(server) as made:
        yield made


@pytest.fixture
def session(client: Client) -> Iterator[Session]:
    """A fresh session."""
    with client.session() as started:
        yield started
