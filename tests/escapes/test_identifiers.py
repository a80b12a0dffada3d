"""Names in a request's path become names of rows and of sessions; one that climbs, ends early or has two meanings could reach another's."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from running_server import REGION, RunningServer, serving

CLIMBING = (
    "%2e%2e",
    "..",
    "%2e%2e%2f%2e%2e%2fetc",
    "..%2f..",
    "%252e%252e",
    "%00",
    "a%00b",
    "a%2fb",
    "a%5cb",
    "%c0%ae%c0%ae",
    "%ff",
    "a%0ab",
    ".",
)
SESSIONS = ("%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "a%00", "a%0a", "'%20or%201=1", "%25", "a" * 41)
REFUSED = (400, 403, 404)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("identifiers") / "data", pool_size=0) as running:
        yield running


def ask(server: RunningServer, method: str, path: str, body: bytes = b"") -> int:
    """The status of a signed request whose path is sent as it is."""
    request = AWSRequest(method, server.url + path, data=body)
    SigV4Auth(Credentials(server.key_id, server.secret), "bedrock-agentcore", REGION).add_auth(request)
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        connection.request(method, path, body or None, dict(request.headers.items()))
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_plain_identifier_is_answered(server: RunningServer) -> None:
    assert ask(server, "GET", "/code-interpreters/aws.codeinterpreter.v1") == 200
    assert ask(server, "GET", "/code-interpreters/aws%2Ecodeinterpreter%2Ev1") == 200


@pytest.mark.parametrize("name", CLIMBING)
def test_an_identifier_that_climbs_names_nothing(server: RunningServer, name: str) -> None:
    assert ask(server, "GET", f"/code-interpreters/{name}") in REFUSED
    assert ask(server, "PUT", f"/code-interpreters/{name}/sessions/start", b"{}") in REFUSED
    assert ask(server, "DELETE", f"/code-interpreters/{name}") in REFUSED


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_id_that_is_none_names_nothing(server: RunningServer, name: str) -> None:
    path = f"/code-interpreters/aws.codeinterpreter.v1/sessions/get?sessionId={name}"
    assert ask(server, "GET", path) in REFUSED


def test_nothing_was_made_beside_the_data(server: RunningServer) -> None:
    for name in CLIMBING:
        ask(server, "PUT", f"/code-interpreters/{name}/sessions/start", b"{}")
    assert {path.name for path in server.data_dir.parent.iterdir()} <= {server.data_dir.name, f"{server.data_dir.name}.log"}
