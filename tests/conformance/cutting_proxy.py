"""A TCP proxy that cuts the first connections in the middle of a call or of its answer, as a bad network does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

PIECE_BYTES = 65536
RESET_ON_CLOSE = b"\1\0\0\0\0\0\0\0"  # SO_LINGER of no seconds (socket(7))


@dataclass
class _Connection:
    client: socket.socket
    server: socket.socket
    request: bytes = b""

    def cut(self) -> None:
        """Reset both ends."""
        for end in (self.client, self.server):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                end.shutdown(socket.SHUT_RDWR)

    def ask(self) -> None:
        """Pass on what the client sends."""
        with suppress(OSError):
            while piece := self.client.recv(PIECE_BYTES):
                self.request += piece
                self.server.sendall(piece)
            self.server.shutdown(socket.SHUT_WR)

    def answer(self, kept_bytes: int | None) -> None:
        """Pass on what the server sends, no more than so much of it when the connection is one to be cut."""
        with suppress(OSError):
            while piece := self.server.recv(PIECE_BYTES):
                self.client.sendall(piece[:kept_bytes])
                if kept_bytes is not None and (kept_bytes := kept_bytes - len(piece)) <= 0:
                    return


class CuttingProxy:
    """Passes connections on; of the answers on the first `cuts` it passes on only `kept_bytes`."""

    def __init__(self, target: str, *, cuts: int, kept_bytes: int) -> None:
        place = urlsplit(target)
        self._target = (place.hostname, place.port)
        self._cuts = cuts
        self._kept_bytes = kept_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[_Connection] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def requests(self) -> list[bytes]:
        """What came over each connection so far."""
        return [connection.request for connection in self._connections]

    def cut(self) -> None:
        """Cut what is open."""
        for connection in self._connections:
            connection.cut()

    def close(self) -> None:
        """Cut everything and take no connection more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(10)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                connection = _Connection(client, socket.create_connection(self._target))
                kept_bytes = self._kept_bytes if len(self._connections) < self._cuts else None
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection, kept_bytes), daemon=True).start()

    def _serve(self, connection: _Connection, kept_bytes: int | None) -> None:
        with closing(connection.client), closing(connection.server):
            asking = threading.Thread(target=connection.ask, daemon=True)
            asking.start()
            connection.answer(kept_bytes)
            connection.cut()
            asking.join(10)


@contextmanager
def cutting(target: str, *, cuts: int = 0, kept_bytes: int = 0) -> Iterator[CuttingProxy]:
    """A proxy for the block."""
    with closing(CuttingProxy(target, cuts=cuts, kept_bytes=kept_bytes)) as proxy:
        yield proxy
