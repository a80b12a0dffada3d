"""Subnets and security groups of mode VPC are what the operator says they are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from uuid import uuid4

import pytest

from cellblock.model.network_grants import AllowedDomain, AllowedNetwork, allowed_place
from operator_files import grants_file
from running_server import Json, RunningServer, refused, serving

SUBNET, GROUP, OTHERS = "subnet-0123456789abcdef0", "sg-0123456789abcdef0", "sg-0123456789abcdef1"


class _Here(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"reached")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a service on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Here) as service:
        threading.Thread(target=service.serve_forever, args=(0.05,), daemon=True).start()
        yield service.server_port
        service.shutdown()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[RunningServer]:
    """One whose operator lets a subnet reach that service."""
    base = tmp_path_factory.mktemp("networks")
    text = f'[networks."{SUBNET}"]\nallow = ["127.0.0.1:{port}"]\n[networks."{GROUP}"]\nallow = []\n'
    text += f'[networks."{OTHERS}"]\nallow = ["0.0.0.0/0"]\naccounts = ["123456789012"]\n'
    ways = {"user_network": "proxy", "network_open_ranges": "127.0.0.1/32"}
    with serving(base / "data", grants_file=grants_file(base, text), **ways) as running:
        yield running


def vpc(*, subnets: list[str], groups: list[str]) -> Json:
    return {"networkConfiguration": {"networkMode": "VPC", "vpcConfig": {"subnets": subnets, "securityGroups": groups}}}


def test_a_session_reaches_what_its_subnet_allows_and_nothing_else(server: RunningServer, port: int) -> None:
    made = server.create(f"n{uuid4().hex[:8]}", **vpc(subnets=[SUBNET], groups=[GROUP]))
    with server.session(interpreter=made["codeInterpreterId"]) as session:
        curl = "curl -sS -m 10 --noproxy none.example"
        assert session.command(f"{curl} http://127.0.0.1:{port}/")["structuredContent"]["stdout"] == "reached"
        own = server.url.rpartition(":")[2]
        for place in (f"127.0.0.1:{own}", "example.com", "169.254.169.254"):
            answer = session.command(f"{curl} http://{place}/")["structuredContent"]["stdout"]
            assert answer.startswith("cellblock: "), answer


@pytest.mark.parametrize(("mode", "answer"), [("PUBLIC", "reached"), ("SANDBOX", "")])
def test_an_interpreters_mode_decides_whether_its_sessions_have_a_network(server: RunningServer, port: int, mode: str, answer: str) -> None:
    made = server.create(f"n{uuid4().hex[:8]}", networkConfiguration={"networkMode": mode})
    with server.session(interpreter=made["codeInterpreterId"]) as session:
        curl = f"curl -sS -m 10 --noproxy none.example http://127.0.0.1:{port}/"
        assert session.command(curl)["structuredContent"]["stdout"] == answer


def test_names_that_are_not_known_or_anothers_are_refused_at_create_and_named(server: RunningServer) -> None:
    asked = vpc(subnets=[SUBNET, "subnet-00000000"], groups=[OTHERS])
    response = refused(server.control.create_code_interpreter, name=f"n{uuid4().hex[:8]}", **asked)
    assert response["Error"]["Code"] == "ValidationException"
    fields = [field["name"] for field in response["fieldList"]]
    assert fields == ["networkConfiguration.vpcConfig.subnets[1]", "networkConfiguration.vpcConfig.securityGroups[0]"]
    assert "subnet-00000000" in response["Error"]["Message"]
    assert OTHERS in response["Error"]["Message"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("example.com", AllowedDomain(name="example.com")),
        ("*.Example.com:443", AllowedDomain(name="*.example.com", ports=((443, 443),))),
        ("10.1.0.0/16:8000-8100", AllowedNetwork(network=ip_network("10.1.0.0/16"), ports=((8000, 8100),))),
        ("10.1.2.3", AllowedNetwork(network=ip_network("10.1.2.3/32"))),
        ("[fd00::/8]:1", AllowedNetwork(network=ip_network("fd00::/8"), ports=((1, 1),))),
    ],
)
def test_an_entry_is_a_name_or_a_range_with_ports(text: str, place: object) -> None:
    assert allowed_place(text) == place


@pytest.mark.parametrize(
    "text", ["", "*", "a.*.com", "http://a.com", "a.com:", "a.com:0", "a.com:9-8", "10.1/16", "fd00::/8", "a b", "[a.com]"]
)
def test_what_is_neither_is_no_entry(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        allowed_place(text)
