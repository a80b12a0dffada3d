"""The bytes of real requests and answers, to send and to parse again without a client."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

BARE_ANSWER = Path(__file__).with_name("_bare_answer.py")
_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Tapped:
    """One request as botocore made it."""

    method: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def as_bytes(self) -> bytes:
        """HTTP/1.1."""
        lines = [f"{self.method} {self.path} HTTP/1.1".encode(), *(name + b": " + value for name, value in self.headers)]
        return b"\r\n".join([*lines, b"", self.body])


class Taken(Exception):
    """A request was kept instead of sent."""


class Tap:
    """Keeps the requests of a client; a dry one does not let them leave."""

    def __init__(self, client: Any, *, is_dry: bool) -> None:
        self._last: Tapped | None = None
        self._is_dry = is_dry
        client.meta.events.register_first("before-send.*.*", self._take)

    @property
    def last(self) -> Tapped:
        """The last one."""
        if self._last is None:
            raise RuntimeError("the client has sent nothing")
        return self._last

    def of(self, send: Callable[[], object]) -> Tapped:
        """The request that this makes."""
        with contextlib.suppress(Taken):
            send()
        return self.last

    def _take(self, request: Any, **_: Any) -> None:
        url, body = urlsplit(request.url), request.body or b""
        headers = [(name.lower().encode(), as_bytes(value)) for name, value in request.headers.items()]
        if all(name != b"host" for name, _ in headers):
            headers.insert(0, (b"host", url.netloc.encode()))
        path = f"{url.path}?{url.query}" if url.query else url.path
        self._last = Tapped(request.method, path, tuple(headers), as_bytes(body))
        if self._is_dry:
            raise Taken


def as_bytes(value: str | bytes) -> bytes:
    """botocore has headers and bodies in both forms."""
    return value if isinstance(value, bytes) else value.encode()


@contextmanager
def bare_server(answers: dict[str, tuple[str, bytes]], directory: Path) -> Iterator[str]:
    """The URL of a server that answers each path with a content type and a body, and does nothing else."""
    file = directory / "answers.json"
    file.write_text(json.dumps({path: (content_type, body.hex()) for path, (content_type, body) in answers.items()}))
    with subprocess.Popen([sys.executable, BARE_ANSWER, file], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.send_signal(signal.SIGTERM)


class RawConnection:
    """Sends bytes and reads a whole answer, with nothing of a client's work between."""

    def __init__(self, url: str) -> None:
        name, _, port = urlsplit(url).netloc.partition(":")
        self._socket = socket.create_connection((name, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> None:
        """One request and its answer."""
        self._socket.sendall(request)
        found = b""
        while (end := found.find(b"\r\n\r\n")) < 0:
            found += self._more()
        head = found[:end].lower()
        missing = int(head.split(b"content-length:")[1].split(b"\r\n")[0]) - (len(found) - end - 4)
        while missing > 0:
            missing -= len(self._more())

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _more(self) -> bytes:
        if not (piece := self._socket.recv(_BYTES)):
            raise RuntimeError("the server closed the connection")
        return piece
