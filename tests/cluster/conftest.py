"""Clusters of plain processes on a PostgreSQL of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster_processes import RunningCluster, serving_cluster
from postgres_server import PostgresServer, postgres


@pytest.fixture(scope="session")
def database() -> Iterator[PostgresServer]:
    """One PostgreSQL for all clusters, each with a database of its own."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def running(database: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """Two nodes and two front ends, which all tests here share."""
    with serving_cluster(tmp_path_factory.mktemp("cluster") / "data", database.url(), node_lost_seconds=3, max_sessions=1000) as made:
        yield made
