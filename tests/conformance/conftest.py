"""One real server for all of these tests, and a session of it for each test that asks for one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from conformance import not_of_a_cluster
from operator_files import grants_file, make_authority, secrets_dir, shared_directory
from postgres_server import postgres
from running_server import CLUSTER_DATABASE, RunningServer, ServedSession, serving

_SECRET = "arn:aws:secretsmanager:us-west-2:123456789012:secret:"
_FILE_SYSTEM = """
[file_systems."arn:aws:elasticfilesystem:us-west-2:123456789012:access-point/fsap-0123456789abcdef0"]
directory = "{}"
accounts = ["000000000000"]
"""


_NETWORKS = "".join(
    f'[networks."{name}"]\nallow = ["api.example.com:443"]\n'
    for name in ("sg-0123456789abcdef0", "subnet-0123456789abcdef0", "subnet-0123456789abcdef1", "sg-01234567", "subnet-01234567")
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--server") == "cluster":
        for item in items:
            if reason := not_of_a_cluster.reason(item.nodeid):
                item.add_marker(pytest.mark.skip(reason=f"not of a cluster: {reason}"))


@pytest.fixture(scope="session", autouse=True)
def cluster_database(request: pytest.FixtureRequest) -> Iterator[None]:
    """The PostgreSQL of all clusters, where the tests run on clusters."""
    if request.config.getoption("--server") != "cluster":
        yield
        return
    with postgres() as database:
        os.environ[CLUSTER_DATABASE] = database.url()
        yield
        del os.environ[CLUSTER_DATABASE]


@pytest.fixture(scope="session")
def server(cluster_database: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with room for the sessions of all tests."""
    base = tmp_path_factory.mktemp("server")
    certificate = make_authority("Conformance").certificate
    secrets = secrets_dir(base / "secrets", **{f"{_SECRET}{name}-AbCdEf": certificate for name in ("ca", "root-ca")})
    granted = grants_file(base, _FILE_SYSTEM.format(shared_directory(base / "shared")) + _NETWORKS)
    with serving(base / "data", max_sessions=1000, secrets_dir=secrets, grants_file=granted) as running:
        yield running


@pytest.fixture
def session(server: RunningServer) -> Iterator[ServedSession]:
    """A fresh session."""
    with server.session() as fresh:
        yield fresh
