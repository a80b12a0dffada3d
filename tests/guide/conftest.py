"""A server as it is out of the box, and the environment that `cellblock env` gives to its clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from running_server import RunningServer, ServedSession, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with its usual settings."""
    with serving(tmp_path_factory.mktemp("guide") / "data") as running:
        yield running


@pytest.fixture(autouse=True)
def exported(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients made without an argument but their region find the server."""
    for name, value in server.client_environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)


@pytest.fixture
def session(server: RunningServer) -> Iterator[ServedSession]:
    """A fresh session."""
    with server.session() as fresh:
        yield fresh
