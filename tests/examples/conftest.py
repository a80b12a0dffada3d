"""One real server for the examples."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from running_server import RunningServer, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with room for an example of many sessions."""
    with serving(tmp_path_factory.mktemp("examples") / "data", max_sessions=200) as running:
        yield running
