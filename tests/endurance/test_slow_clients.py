"""Clients that read slowly or send slowly cost bounded memory, and no other session notices them."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from cellblock.http.protocol import HEAD_BYTES
from endurance.raw_connections import SMALL_BUFFER, code_body, connections, head, read_answer
from endurance.server_memory import MIB, resident_bytes, watched
from running_server import RunningServer, ServedSession, serving

READERS = 8
OUTPUT_BYTES = 10_000_000
ANSWER_BYTES = 2 * OUTPUT_BYTES  # in content and in stdout
SENDERS = 40
SMALL_BODY_BYTES = 500_000
PRINT = f"import sys\nsys.stdout.write('a' * {OUTPUT_BYTES})"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of its own, whose memory nobody else uses."""
    with serving(tmp_path_factory.mktemp("slow") / "data", max_sessions=100) as running:
        yield running


@pytest.fixture
def session(server: RunningServer) -> Iterator[ServedSession]:
    """A fresh session."""
    with server.session() as fresh:
        yield fresh


def sent_bytes(connections: list[socket.socket]) -> list[bytes]:
    """The first bytes of each answer, which shows that the server has made it."""
    return [connection.recv(12, socket.MSG_PEEK) for connection in connections]


def test_10_mb_outputs_that_clients_do_not_read_are_kept_once_each_and_arrive_when_they_do(session: ServedSession) -> None:
    body = code_body(PRINT)
    with watched(session.server) as burden, connections(session.server, READERS, receive_bytes=SMALL_BUFFER) as unread:
        before = resident_bytes(session.server.process.pid)
        for connection in unread:
            connection.sendall(head(session, body) + body)
        assert sent_bytes(unread) == [b"HTTP/1.1 200"] * READERS
        answers = [read_answer(connection) for connection in unread[:2]]
    assert [answer.count(b"a" * 1000) >= ANSWER_BYTES // 1000 for answer in answers] == [True, True]
    burden.assert_nothing_stalled()
    assert burden.peak_bytes - before < READERS * ANSWER_BYTES * 2


def test_memory_of_outputs_that_nobody_read_is_free_when_the_clients_are_gone(session: ServedSession) -> None:
    """Free for the next ones: the C library gives back to the system what it likes, and when it likes."""
    body = code_body(PRINT)

    def filled() -> int:
        with connections(session.server, READERS, receive_bytes=SMALL_BUFFER) as unread:
            for connection in unread:
                connection.sendall(head(session, body) + body)
            sent_bytes(unread)
            return resident_bytes(session.server.process.pid)

    first = filled()
    kept = [filled() for _ in range(3)][-1] - first
    assert kept < READERS * ANSWER_BYTES  # three rounds that stay would be at least half as much again


def test_heads_that_dribble_in_hold_nobody_up_and_are_answered_when_they_are_complete(session: ServedSession) -> None:
    body = code_body("print('slow')")
    text = head(session, body) + body
    with watched(session.server) as burden, connections(session.server, 3) as slow, connections(session.server, SENDERS) as unfinished:
        for connection in unfinished:
            connection.sendall(text[:100])
        for start in range(0, len(text), 16):
            for connection in slow:
                connection.sendall(text[start : start + 16])
        assert all(b"slow" in read_answer(connection) for connection in slow)
    burden.assert_nothing_stalled()


def test_bodies_that_dribble_in_cost_no_more_than_what_has_come(session: ServedSession) -> None:
    body = code_body("pass" + " " * SMALL_BODY_BYTES)
    with watched(session.server) as burden, connections(session.server, SENDERS) as slow:
        before = resident_bytes(session.server.process.pid)
        for connection in slow:
            connection.sendall(head(session, body))
        for start in range(0, SMALL_BODY_BYTES // 2, SMALL_BODY_BYTES // 20):
            for connection in slow:
                connection.sendall(body[start : start + SMALL_BODY_BYTES // 20])
    burden.assert_nothing_stalled()
    assert burden.peak_bytes - before < SENDERS * SMALL_BODY_BYTES + 50 * MIB


def endless_head() -> Iterator[bytes]:
    yield b"POST / HTTP/1.1\r\n"
    while True:
        yield b"x-more: " + b"y" * 1000 + b"\r\n"


def endless_header() -> Iterator[bytes]:
    yield b"POST / HTTP/1.1\r\nx-more: "
    while True:
        yield b"y" * 1000


def endless_target() -> Iterator[bytes]:
    yield b"GET /"
    while True:
        yield b"y" * 1000


def endless_trailer(session: ServedSession) -> Iterator[bytes]:
    body = code_body("pass")
    lines = head(session, body).replace(f"Content-Length: {len(body)}".encode(), b"Transfer-Encoding: chunked")
    yield lines + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\nx-more: "
    while True:
        yield b"y" * 1000


def send_much(connection: socket.socket, pieces: Iterator[bytes]) -> None:
    sent = 0
    while sent < 100 * HEAD_BYTES:
        sent += len(piece := next(pieces))
        connection.sendall(piece)


@pytest.mark.parametrize("kind", ["head", "header", "target", "trailer"])
def test_what_is_no_body_and_does_not_end_is_refused(session: ServedSession, kind: str) -> None:
    pieces = {"head": endless_head, "header": endless_header, "target": endless_target}.get(kind, lambda: endless_trailer(session))()
    before = resident_bytes(session.server.process.pid)
    with connections(session.server, 1) as (connection,), pytest.raises(ConnectionError):
        send_much(connection, pieces)
    assert resident_bytes(session.server.process.pid) - before < 20 * MIB


def test_head_over_its_bound_is_told_so(session: ServedSession) -> None:
    with connections(session.server, 1) as (connection,):
        connection.sendall(b"POST / HTTP/1.1\r\nx-more: " + b"y" * (HEAD_BYTES + 1))
        assert read_answer(connection).startswith(b"HTTP/1.1 400")


def test_a_head_just_below_its_bound_is_read(session: ServedSession) -> None:
    with connections(session.server, 1) as (connection,):
        connection.sendall(b"GET /ping HTTP/1.1\r\nHost: here\r\nx-more: " + b"y" * (HEAD_BYTES - 100) + b"\r\n\r\n")
        assert read_answer(connection).startswith(b"HTTP/1.1 200")


def test_many_requests_on_one_connection_are_no_long_head(session: ServedSession) -> None:
    with connections(session.server, 1) as (connection,):
        for _ in range(3):
            connection.sendall(b"GET /ping HTTP/1.1\r\nHost: here\r\nx-more: " + b"y" * (HEAD_BYTES // 2) + b"\r\n\r\n")
            assert read_answer(connection).startswith(b"HTTP/1.1 200")
