"""One request's answer on the wire: in one piece, after a body in pieces too, and without one where none may be."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from service.served import Served, off_loop, serving

PING = b"%b /ping HTTP/1.1\r\nHost: here\r\n%b\r\n"


@contextmanager
def connection(served: Served) -> Iterator[socket.socket]:
    place = urlsplit(served.endpoint)
    with socket.create_connection((place.hostname, place.port), timeout=20) as opened:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield opened


async def test_small_answer_comes_in_one_piece(data_dir: Path) -> None:
    async with serving(data_dir) as served:
        with connection(served) as client:
            for _ in range(2):
                await off_loop(client.sendall, PING % (b"GET", b""))
                head, end, body = (await off_loop(client.recv, 10_000)).partition(b"\r\n\r\n")
                assert (head[:12], end, body[-1:]) == (b"HTTP/1.1 200", b"\r\n\r\n", b"}")


async def test_answer_to_head_has_no_body_and_does_not_wait_for_one(data_dir: Path) -> None:
    async with serving(data_dir) as served:
        with connection(served) as client:
            await off_loop(client.sendall, PING % (b"HEAD", b"") + PING % (b"GET", b"Connection: close\r\n"))
            found = b""
            while piece := await off_loop(client.recv, 10_000):
                found += piece
            first, second, body = found.split(b"\r\n\r\n")
            assert [part[:12] for part in (first, second)] == [b"HTTP/1.1 200"] * 2
            assert body.startswith(b"{")
