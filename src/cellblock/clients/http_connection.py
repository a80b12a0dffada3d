"""One HTTP connection of the waiting client: a request leaves in one write, and httptools' parser takes the answer apart."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import httptools

_READ_BYTES = 256 * 1024


class Broken(Exception):
    """The connection ended before the answer was whole, or what came is no HTTP."""


class NoAnswer(Exception):
    """Nothing came, or nothing was taken, for as long as the connection may be silent."""


class Answer:
    """One answer: its head once it is made, its body as it is read."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._has_head = False
        self.headers: dict[str, str] = {}
        self.is_whole = False
        self.may_follow = False  # whether another request may take the same connection
        while not self._has_head:
            self._read_more()

    @property
    def status(self) -> int:
        """The status code."""
        return int(self._parser.get_status_code())

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes. Raises Broken, NoAnswer."""
        while True:
            body, self._body = self._body, []
            yield from body
            if self.is_whole:
                return
            self._read_more()

    def read(self) -> bytes:
        """The whole body. Raises Broken, NoAnswer."""
        return b"".join(self.pieces())

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: a header."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """httptools: the head is over."""
        self._has_head = self.status >= 200

    def on_body(self, body: bytes) -> None:
        """httptools: a piece of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """httptools: the answer is over, or one that only says that another one follows."""
        if self._has_head:
            self.is_whole, self.may_follow = True, self._parser.should_keep_alive()
        else:
            self.headers.clear()

    def _read_more(self) -> None:
        with _broken():
            data = self._connection.recv(_READ_BYTES)
            if data:
                self._parser.feed_data(data)
        if not data:
            self._end()

    def _end(self) -> None:
        if not self._has_head or {"content-length", "transfer-encoding"} & self.headers.keys():
            raise Broken("it was closed before the answer was whole")
        self.is_whole = True  # an answer whose end is the connection's


def ask(connection: socket.socket, method: str, target: str, headers: Mapping[str, str], content: bytes | Iterable[bytes]) -> Answer:
    """Send a request and read the head of its answer; content in pieces is sent in chunks. Raises Broken, NoAnswer."""
    if isinstance(content, bytes):
        length = {"content-length": str(len(content))} if content or method != "GET" else {}
        _is_taken(connection, _head(method, target, {**headers, **length}) + content)
    elif _is_taken(connection, _head(method, target, {**headers, "transfer-encoding": "chunked"})):
        _send_chunks(connection, content)
    return Answer(connection)


def _head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    lines = (f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", "")
    return "\r\n".join(lines).encode("latin-1")


def _send_chunks(connection: socket.socket, content: Iterable[bytes]) -> None:
    for piece in content:
        if piece and not _is_taken(connection, b"%x\r\n%b\r\n" % (len(piece), piece)):
            return
    _is_taken(connection, b"0\r\n\r\n")


def _is_taken(connection: socket.socket, data: bytes) -> bool:
    """Send it; False when the other end takes no more: a server that refuses a body says why before all of it was sent."""
    with _broken():
        try:
            connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
    return True


@contextmanager
def _broken() -> Iterator[None]:
    """Raises Broken and NoAnswer for what becomes of the connection."""
    try:
        yield
    except TimeoutError as error:
        raise NoAnswer from error
    except OSError as error:
        raise Broken(str(error)) from error
    except httptools.HttpParserError as error:
        raise Broken(f"what came is no HTTP: {error}") from error


def is_quiet(connection: socket.socket) -> bool:
    """Whether an idle connection still stands: one that has something to read was closed, or says what nobody asked."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return not poll.poll(0)
