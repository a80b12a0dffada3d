"""Requests as bytes, signed by botocore, for what stock boto3 would not send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from running_server import REGION, RunningServer


@dataclass(frozen=True)
class Answer:
    """An HTTP response; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body's members."""
        members: dict[str, Any] = json.loads(self.body)
        return members

    @property
    def code(self) -> str:
        """The error's code, which header and body must agree on."""
        assert self.headers["x-amzn-errortype"] == self.json["__type"]
        return self.headers["x-amzn-errortype"]


def signed(
    server: RunningServer,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    secret: str | None = None,
    key_id: str | None = None,
) -> dict[str, str]:
    """The headers of a request, with a signature over all of them."""
    request = AWSRequest(method, server.url + path, data=body, headers=dict(headers or {}))
    SigV4Auth(Credentials(key_id or server.key_id, secret or server.secret), "bedrock-agentcore", REGION).add_auth(request)
    return dict(request.headers.items())


def send(
    server: RunningServer, method: str, path: str, body: bytes = b"", *, headers: Mapping[str, str] | None = None, sign: bool = True
) -> Answer:
    """Send a request, with a signature unless the headers are complete already."""
    wanted = signed(server, method, path, body, headers=headers) if sign else dict(headers or {})
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    try:
        connection.request(method, path, body, wanted)
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()
