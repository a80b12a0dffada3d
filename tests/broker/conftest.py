"""A broker in a process of its own, with a listener as a cell gives it, and what stands for S3 behind it."""

from __future__ import annotations

import asyncio
import dataclasses
import http.client
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cellblock.grants.broker.address import CREDENTIALS_PATH
from cellblock.grants.broker.orders import Begin, Open
from cellblock.grants.broker.server_end import BrokerProcess
from cellblock.grants.grants_file import Role
from s3_server import KEY_ID, REGION, SECRET, S3Server, s3_server

ROLE_ARN = "arn:aws:iam::000000000000:role/R"
ROLE = Role(buckets=("mine", "team-*"), access_key_id=KEY_ID, secret_access_key=SECRET)
HOST = "127.0.0.1:700"
TOKEN = "token-of-the-session"


@dataclass(frozen=True)
class Answer:
    """What a request was answered with."""

    status: int
    body: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Door:
    """A session's way to the broker, as its programs have it; only the port differs."""

    port: int
    token: str = TOKEN

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def send(self, method: str, target: str, *, headers: dict[str, str] | None = None, body: bytes | None = None) -> Answer:
        """A request as it is."""
        connection = self.connect()
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in ({"Host": HOST} | (headers or {})).items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, response.read().decode(errors="replace"), {k.lower(): v for k, v in response.getheaders()})
        finally:
            connection.close()

    def credentials(self) -> Credentials:
        """Those of the session."""
        answer = self.send("GET", CREDENTIALS_PATH, headers={"Authorization": self.token})
        assert answer.status == 200, answer
        found: dict[str, str] = json.loads(answer.body)
        return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["Token"])

    def signed(self, method: str, target: str, *, body: bytes | None = None, headers: dict[str, str] | None = None) -> dict[str, str]:
        """The headers of a request that is signed as SDKs do it."""
        request = AWSRequest(method=method, url=f"http://{HOST}{target}", data=body, headers=headers or {})
        S3SigV4Auth(self.credentials(), "s3", REGION).add_auth(request)
        return dict(request.headers.items())

    def ask(self, method: str, target: str, *, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        """A signed request."""
        return self.send(method, target, headers=self.signed(method, target, body=body, headers=headers), body=body)


@dataclass(frozen=True)
class Served:
    """A running broker and its first session."""

    broker: BrokerProcess
    door: Door

    async def ask(self, *arguments: Any, **named: Any) -> Answer:
        return await asyncio.to_thread(self.door.ask, *arguments, **named)

    async def send(self, *arguments: Any, **named: Any) -> Answer:
        return await asyncio.to_thread(self.door.send, *arguments, **named)

    async def open(self, session_id: str, *, token: str = TOKEN, role: Role = ROLE) -> Door:
        """A session more."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        port = listener.getsockname()[1]
        await self.broker.open(Open(session_id=session_id, role_arn=ROLE_ARN, role=role, token=token), listener)
        return Door(port, token)


Serving = Callable[..., Any]


@pytest.fixture
def serving() -> Serving:
    """A broker for the block, in front of an endpoint."""

    @asynccontextmanager
    async def start(
        endpoint: str, *, role: Role = ROLE, credentials_seconds: int = 3600, token_endpoint: str = ""
    ) -> AsyncIterator[Served]:
        begin = Begin(endpoint=endpoint, region=REGION, token_endpoint=token_endpoint, credentials_seconds=credentials_seconds)
        served = Served(BrokerProcess(begin), Door(0))
        try:
            yield dataclasses.replace(served, door=await served.open("s-1", role=role))
        finally:
            await served.broker.close()

    return start


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 with a bucket that is granted and one that is not."""
    with s3_server(tmp_path_factory.mktemp("s3") / "data") as running:
        running.bucket("mine", **{"greeting.txt": "hello"})
        running.bucket("foreign", **{"secret.txt": "of others"})
        running.bucket("team-1")
        yield running
