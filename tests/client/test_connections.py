"""The waiting client's own HTTP, against servers and proxies that say exactly what the test has them say."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cellblock.client import Client, ConnectionFailed, Limits, Server, ServiceError
from cellblock.clients.connections import Connections
from cellblock.clients.messages import Request
from operator_files import make_authority
from running_server import serving

ASKED = Request("GET", "/asked")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Serve = Callable[[socket.socket], None]


@contextmanager
def listening(*connections: Serve) -> Iterator[str]:
    """A server whose first connection is the first one's, and so on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for one in connections:
                connection, _ = listener.accept()
                with connection:
                    one(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(20)
        assert not thread.is_alive(), "the client did not open all connections"


def said(*pieces: bytes, is_kept: bool = False) -> Serve:
    """Read a request's head, say this, and wait for the client's end if the connection is kept."""

    def serve(connection: socket.socket) -> None:
        head_of(connection)
        for piece in pieces:
            connection.sendall(piece)
        if is_kept:
            assert connection.recv(1) == b""

    return serve


def head_of(connection: socket.socket) -> str:
    data = b""
    while not data.endswith(b"\r\n\r\n") and (more := connection.recv(1)):
        data += more
    return data.decode()


@contextmanager
def connected(address: str, *, answer_seconds: float = 20) -> Iterator[Connections]:
    connections = Connections(Server(f"http://{address}", "KEY", "secret"), Limits(answer_seconds=answer_seconds))
    try:
        yield connections
    finally:
        connections.close()


@pytest.mark.parametrize(
    "pieces",
    [
        [ANSWER],
        [bytes([byte]) for byte in ANSWER],
        [b"HTTP/1.1 100 Continue\r\n\r\n", ANSWER],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n", b"1\r\nk\r\n0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n\r\no", b"k"],
        [b"HTTP/1.0 200 OK\r\n\r\nok"],
    ],
    ids=["whole", "in single bytes", "after a continue", "in chunks", "up to the end of the connection", "of HTTP 1.0"],
)
def test_answers_of_every_form_are_read(pieces: list[bytes]) -> None:
    with listening(said(*pieces)) as address, connected(address) as connections:
        status, _, body = connections.send(ASKED)
        assert (status, body) == (200, b"ok")


def test_connection_is_used_again_until_the_server_closes_it() -> None:
    heads: list[str] = []
    is_closed = threading.Event()

    def twice(connection: socket.socket) -> None:
        for _ in range(2):
            heads.append(head_of(connection))
            connection.sendall(ANSWER)

    def end(connection: socket.socket) -> None:
        twice(connection)
        connection.close()
        is_closed.set()

    with listening(end, said(ANSWER)) as address, connected(address) as connections:
        for _ in range(2):
            connections.send(ASKED)
        assert is_closed.wait(20)
        assert connections.send(ASKED)[2] == b"ok"
    assert len(heads) == 2


def test_connection_is_not_used_again_against_the_servers_will() -> None:
    closing = ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with listening(said(closing, is_kept=True), said(ANSWER)) as address, connected(address) as connections:
        connections.send(ASKED)
        assert connections.send(ASKED)[2] == b"ok"


def test_answer_that_nobody_reads_closes_its_connection() -> None:
    with listening(said(ANSWER[:-1], is_kept=True)) as address, connected(address) as connections, connections.open(ASKED) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "said_by_server", [b"", ANSWER[:10], ANSWER[:-1], b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
)
def test_answer_that_is_none_is_told(said_by_server: bytes) -> None:
    broken = pytest.raises(ConnectionFailed, match=r"the connection to http://127\.0\.0\.1:\d+ broke: ")
    with listening(said(said_by_server)) as address, connected(address) as connections, broken:
        connections.send(ASKED)


def test_server_that_says_nothing_is_told() -> None:
    late = pytest.raises(ConnectionFailed, match="did not answer in time")
    with listening(said(is_kept=True)) as address, connected(address, answer_seconds=0.05) as connections, late:
        connections.send(ASKED)


def test_body_is_sent_in_chunks_and_the_users_error_stays_his() -> None:
    received: list[bytes] = []

    def take(connection: socket.socket) -> None:
        assert "transfer-encoding: chunked" in head_of(connection)
        while data := connection.recv(100):
            received.append(data)

    def content() -> Iterator[bytes]:
        yield b"0123456789"
        raise OSError("the file cannot be read")

    with listening(take) as address, connected(address) as connections, pytest.raises(OSError, match="the file cannot be read"):
        connections.send(Request("PUT", "/file", digest="UNSIGNED-PAYLOAD"), content())
    assert b"".join(received) == b"a\r\n0123456789\r\n"


def test_proxy_of_the_environment_is_asked_for_the_whole_address(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[str] = []

    def proxy(connection: socket.socket) -> None:
        heads.append(head_of(connection))
        connection.sendall(ANSWER)

    with listening(proxy) as address:
        monkeypatch.setenv("http_proxy", f"http://me:p%40ss@{address}")
        with connected("cells.example:8080") as connections:
            assert connections.send(ASKED)[2] == b"ok"
    assert heads[0].startswith("GET http://cells.example:8080/asked HTTP/1.1\r\nhost: cells.example:8080\r\n")
    assert "proxy-authorization: Basic bWU6cEBzcw==\r\n" in heads[0]


def test_proxy_of_the_environment_sees_nothing_of_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_authority("Example Authority", host="cells.example")
    names = {"authority": tmp_path / "ca.pem", "tls_certificate": tmp_path / "chain.pem", "tls_key": tmp_path / "key.pem"}
    for path, text in zip(names.values(), (made.certificate, made.server_certificate, made.server_key), strict=True):
        path.write_text(text)
    with serving(tmp_path / "data", tls_certificate=names["tls_certificate"], tls_key=names["tls_key"]) as running:
        port = int(running.url.rpartition(":")[2])

        def proxy(connection: socket.socket) -> None:
            assert head_of(connection).startswith("CONNECT cells.example:443 HTTP/1.")
            with socket.create_connection(("127.0.0.1", port)) as server:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=relay, args=(server, connection))
                back.start()
                relay(connection, server)
                back.join()

        with listening(proxy) as address:
            monkeypatch.setenv("https_proxy", f"http://{address}")
            server = Server("https://cells.example", running.key_id, "wrong" * 8, authority=str(names["authority"]))
            with pytest.raises(ServiceError, match="InvalidSignatureException"), Client(server) as client, client.session():
                pass


def relay(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)


def test_proxy_that_is_not_spoken_to_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1080")
    with pytest.raises(ConnectionFailed, match="only http:// proxies"):
        Client(Server("http://cells.example:8080", "KEY", "secret"))
