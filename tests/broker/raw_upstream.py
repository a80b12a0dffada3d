"""Something in S3's place that records what arrives, byte for byte, and answers as it is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_SECONDS = 20


@dataclass
class Upstream:
    """What has arrived, connection after connection."""

    url: str
    heads: list[bytes] = field(default_factory=list)

    def header(self, name: str) -> str:
        """Of the last request."""
        lines = self.heads[-1].decode().split("\r\n")
        return next((line.partition(":")[2].strip() for line in lines if line.lower().startswith(f"{name}:")), "")

    @property
    def request_lines(self) -> list[str]:
        """The first line of each."""
        return [head.decode().split("\r\n")[0] for head in self.heads]


Act = Callable[[socket.socket], None]


def read_head(connection: socket.socket) -> bytes:
    """Up to the empty line."""
    data = b""
    while b"\r\n\r\n" not in data and (piece := connection.recv(65536)):
        data += piece
    return data


@contextmanager
def upstream(act: Act | None = None) -> Iterator[Upstream]:
    """One for the block; `act` has the connection after the first head, and it is closed then."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        recorded = Upstream(f"http://127.0.0.1:{listener.getsockname()[1]}")
        threading.Thread(target=_serve, args=(listener, recorded, act or (lambda connection: connection.sendall(OK))), daemon=True).start()
        yield recorded
        listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, recorded: Upstream, act: Act) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.settimeout(_SECONDS)
            with connection, suppress(OSError):
                recorded.heads.append(read_head(connection))
                act(connection)
