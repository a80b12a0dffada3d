"""Connections that send and read as no SDK does: slowly, in parts, or not at all."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from conformance.raw_http import signed
from running_server import BUILT_IN, RunningServer, ServedSession

INVOKE = f"/code-interpreters/{BUILT_IN}/tools/invoke"
SMALL_BUFFER = 4096


@contextmanager
def connections(server: RunningServer, count: int, *, receive_bytes: int = 0) -> Iterator[list[socket.socket]]:
    """Open connections for the block, with a small receive buffer when it is given."""
    place = urlsplit(server.url)
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            if receive_bytes:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            connection.settimeout(60)
            connection.connect((place.hostname, place.port))
            opened.append(connection)
        yield opened


def code_body(code: str) -> bytes:
    """The body of an executeCode."""
    return json.dumps({"name": "executeCode", "arguments": {"language": "python", "code": code}}).encode()


def head(session: ServedSession, body: bytes) -> bytes:
    """The signed head of an Invoke with this body."""
    headers = signed(session.server, "POST", INVOKE, body, headers={"x-amzn-code-interpreter-session-id": session.id})
    lines = [f"POST {INVOKE} HTTP/1.1", f"Host: {urlsplit(session.server.url).netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def read_answer(connection: socket.socket) -> bytes:
    """Head and body of one answer with a Content-Length, or what came until the server closed."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        if not (piece := connection.recv(65536)):
            return answer
        answer += piece
    start, _, rest = answer.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in start.split(b"\r\n") if line.lower().startswith(b"content-length"))
    pieces, size = [rest], len(rest)
    while size < length and (piece := connection.recv(1024 * 1024)):
        pieces.append(piece)
        size += len(piece)
    return start + b"\r\n\r\n" + b"".join(pieces)
