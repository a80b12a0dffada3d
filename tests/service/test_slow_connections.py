"""Clients that take nothing of their answer, or never finish a head: the server cuts them off after its time."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cellblock.http import protocol
from cellblock.machine import listeners
from cellblock.model.calls import Call
from service.fake_node import FakeCell, FakeNode, done
from service.served import Served, off_loop, serving, until
from service.test_calls import WAIT, signed

OUTPUT = "a" * 10_000_000
PATIENCE_SECONDS = 20


async def print_much(cell: FakeCell, request: Call[Any]) -> Any:
    return done(OUTPUT)


@contextmanager
def connection(served: Served) -> Iterator[socket.socket]:
    """A client's connection with a small receive buffer."""
    place = urlsplit(served.endpoint)
    with socket.socket() as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.settimeout(PATIENCE_SECONDS)
        opened.connect((place.hostname, place.port))
        yield opened


def is_held(opened: socket.socket) -> bool:
    """Whether the other end, on this machine too, still has its socket (proc(5), net/tcp)."""
    ends = f"{_hexadecimal(opened.getpeername())} {_hexadecimal(opened.getsockname())}"
    return ends in Path("/proc/net/tcp").read_text()


def _hexadecimal(address: tuple[str, int]) -> str:
    return f"{int.from_bytes(socket.inet_aton(address[0]), sys.byteorder):08X}:{address[1]:04X}"


def read_to(opened: socket.socket, end: bytes) -> bytes:
    answer = b""
    while not answer.endswith(end):
        answer += opened.recv(1000)
    return answer


def read_all(opened: socket.socket) -> None:
    while opened.recv(1_000_000):
        pass


async def test_client_that_takes_nothing_of_its_answer_is_cut_off(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "UNREAD_SECONDS", 1)
    node = FakeNode()
    node.scripts["wait"] = print_much
    async with serving(data_dir, node=node) as served:
        session = await served.start()
        headers = signed(served, session.id, WAIT) | {"Content-Length": str(len(WAIT)), "Host": urlsplit(served.endpoint).netloc}
        path = "/code-interpreters/aws.codeinterpreter.v1/tools/invoke"
        head = "\r\n".join([f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())])
        with connection(served) as unread:
            await off_loop(unread.sendall, head.encode() + b"\r\n\r\n" + WAIT)
            assert await off_loop(unread.recv, 12, socket.MSG_PEEK) == b"HTTP/1.1 200"
            assert is_held(unread)
            await until(lambda: not is_held(unread))
            with pytest.raises(ConnectionResetError):
                await off_loop(read_all, unread)


async def test_client_that_does_not_finish_its_head_is_told_and_cut_off(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    async with serving(data_dir) as served:
        with connection(served) as slow:
            await off_loop(slow.sendall, b"GET /ping HTTP/1.1\r\nHost: he")
            assert (await off_loop(slow.recv, 1000)).startswith(b"HTTP/1.1 400")
            assert await off_loop(slow.recv, 1000) == b""


async def test_time_for_a_head_does_not_end_a_long_call_or_a_pause_between_two(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    ping = b"GET /ping HTTP/1.1\r\nHost: here\r\n\r\n"
    async with serving(data_dir) as served:
        with connection(served) as slow:
            for _ in range(2):
                await off_loop(slow.sendall, ping)
                assert (await off_loop(read_to, slow, b"}")).startswith(b"HTTP/1.1 200")
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(asyncio.Event().wait(), 0.5)
