"""Requests and answers as bytes: signed requests, events by botocore's parser, nothing sent here."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from botocore.eventstream import EventStreamBuffer

from cellblock.clients.results import Output, Result, ServiceError, result_of
from cellblock.clients.server import Server
from cellblock.wire.head import Head
from cellblock.wire.sigv4 import PAYLOAD_HEADER, UNSIGNED, sign

SESSION_HEADER = "x-amzn-code-interpreter-session-id"
STREAM_HEADER = "x-cellblock-stream"
JSON_TYPE = "application/json"
_OWN_PORTS = {"http": ":80", "https": ":443"}
OVER = ("ConflictException", "ResourceNotFoundException")  # answers to the stop of a session that has ended


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `digest` stands for a body that is sent as a stream."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    def signed(self, server: Server) -> dict[str, str]:
        """All headers, with the signature."""
        address = urlsplit(server.url)
        path, _, query = self.path.partition("?")
        headers = {"host": _host(address), **self.headers, **({PAYLOAD_HEADER: self.digest} if self.digest else {})}
        head = Head(method=self.method, path=address.path + path, query=query, headers=headers)
        digest = self.digest or sha256(self.body).hexdigest()
        return sign(head, key_id=server.key_id, secret=server.secret, region=server.region, body_sha256=digest)


@dataclass(frozen=True, slots=True)
class Named:
    """A session by the names that its requests carry."""

    interpreter: str
    session_id: str

    def invoke(self, tool: str, arguments: Mapping[str, Any], *, is_followed: bool = False) -> Request:
        """Use a tool; with the output while it is produced when it is followed."""
        body = json.dumps({"name": tool, "arguments": arguments}).encode()
        headers = {SESSION_HEADER: self.session_id, "content-type": JSON_TYPE}
        if is_followed:
            headers[STREAM_HEADER] = "output"
        return Request("POST", f"/code-interpreters/{_part(self.interpreter)}/tools/invoke", body, headers)

    def stop(self) -> Request:
        """End it."""
        path = f"/code-interpreters/{_part(self.interpreter)}/sessions/stop?sessionId={_part(self.session_id)}"
        return Request("PUT", path, b"{}", {"content-type": JSON_TYPE})

    def get(self) -> Request:
        """Ask about it."""
        return Request("GET", f"/code-interpreters/{_part(self.interpreter)}/sessions/get?sessionId={_part(self.session_id)}")

    def file(self, method: str, path: str, data: bytes | None = None) -> Request:
        """A file of it as a stream; data that is at hand is signed too."""
        place = f"/code-interpreters/{_part(self.interpreter)}/sessions/{_part(self.session_id)}/files/{quote(path, safe='/')}"
        digest = UNSIGNED if data is None else sha256(data).hexdigest()
        return Request(method, place, headers={"content-type": "application/octet-stream"} if method == "PUT" else {}, digest=digest)


def start(interpreter: str, *, name: str | None, timeout_seconds: int | None) -> Request:
    """Start a session."""
    members = {"name": name, "sessionTimeoutSeconds": timeout_seconds}
    body = json.dumps({member: value for member, value in members.items() if value is not None}).encode()
    return Request("PUT", f"/code-interpreters/{_part(interpreter)}/sessions/start", body, {"content-type": JSON_TYPE})


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> ServiceError:
    """The error that an answer is; one that is no answer of the service is told as it is."""
    try:
        members = json.loads(body)
        code, message = str(members.get("__type", "")), str(members.get("message", ""))
    except (ValueError, AttributeError):
        code, message = "", body[:500].decode("utf-8", "replace")
    code = code or headers.get("x-amzn-errortype", "") or f"HTTP {status}"
    return ServiceError(code, message, status=status, request_id=headers.get("x-amzn-requestid", ""))


class Events:
    """The events of an Invoke's answer, as its bytes come; without `is_followed` there is one, the result."""

    def __init__(self, *, is_followed: bool = False) -> None:
        self._is_followed = is_followed
        self._received = bytearray()
        self._buffer = EventStreamBuffer()

    def feed(self, data: bytes) -> Iterator[Output | Result]:
        """What these bytes complete: pieces of output, and the one result. Raises ServiceError."""
        self._received += data
        while (whole := self._whole_message()) is not None:
            self._buffer.add_data(whole)
            for message in self._buffer:
                headers: Mapping[str, Any] = message.headers  # type: ignore[assignment]
                yield self._event(headers, json.loads(message.payload))

    def _whole_message(self) -> bytes | None:
        """The next message once all of it is there: botocore's parser copies what it has with each piece that it is given."""
        length = int.from_bytes(self._received[:4])
        if len(self._received) < max(4, length):
            return None
        message = bytes(self._received[:length])
        del self._received[:length]
        return message

    def _event(self, headers: Mapping[str, Any], members: Mapping[str, Any]) -> Output | Result:
        if headers.get(":message-type") == "exception":
            name = str(headers.get(":exception-type", ""))
            raise ServiceError(name[:1].upper() + name[1:], str(members.get("message", "")))
        structured = members.get("structuredContent", {})
        if not self._is_followed or "exitCode" in structured:
            return result_of(members, base64.b64decode)
        return Output("stderr", structured["stderr"]) if structured.get("stderr") else Output("stdout", structured.get("stdout", ""))


def _host(address: SplitResult) -> str:
    """The Host header: no port when it is the scheme's own."""
    place = address.netloc.rpartition("@")[2]
    return place.removesuffix(_OWN_PORTS.get(address.scheme, " "))


def _part(text: str) -> str:
    return quote(text, safe="")
