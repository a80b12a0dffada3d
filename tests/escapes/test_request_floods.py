"""Before it is known who asks, a request is bytes in the server's memory: heads without end and requests ahead of their answers."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cells import MIB
from running_server import RunningServer, serving

FLOODS = {
    "many headers": (b"GET /ping HTTP/1.1\r\nHost: h\r\n", b"X: " + b"a" * 60_000 + b"\r\n", 500),
    "one header": (b"GET /ping HTTP/1.1\r\nHost: h\r\nX: ", b"a" * 60_000, 500),
    "a path": (b"GET /", b"a" * 60_000, 500),
    "trailers": (b"POST /ping HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: " + b"a" * 60_000 + b"\r\n", 500),
    "requests ahead of answers": (b"", b"GET /code-interpreters HTTP/1.1\r\nHost: h\r\n\r\n" * 1500, 40),
}
GROWTH = 15 * MIB
PLAIN = "import sys, uvicorn\nasync def app(scope, receive, send): await receive(); await __import__('asyncio').sleep(60)\n"
SERVE = "uvicorn.run(app, fd=int(sys.argv[1]), http='httptools', lifespan='off', log_level='critical')"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("floods") / "data", pool_size=0) as running:
        yield running


@contextmanager
def plain_server() -> Iterator[tuple[int, int]]:
    """Process id and port of a server that has the HTTP library and none of our bounds; it answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-c", PLAIN + SERVE, str(listener.fileno())]
        process = subprocess.Popen(command, pass_fds=(listener.fileno(),))
    try:
        yield process.pid, listener_port(process.pid)
    finally:
        process.kill()
        process.wait()


def listener_port(pid: int) -> int:
    """The port of the one listening socket that a process has inherited."""
    inodes = {entry.readlink().name for entry in Path(f"/proc/{pid}/fd").iterdir()}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if f"socket:[{fields[9]}]" in inodes:
            return int(fields[1].rpartition(":")[2], 16)
    raise AssertionError("it listens nowhere")


def resident(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def flood(pid: int, port: int, kind: str) -> int:
    """By how much the process grows while one client sends."""
    first, piece, count = FLOODS[kind]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        before = resident(pid)
        try:
            client.sendall(first)
            for _ in range(count):
                client.sendall(piece)
        except (ConnectionError, TimeoutError):  # the server has had enough
            pass
        return resident(pid) - before


def test_a_server_without_bounds_keeps_what_it_is_sent() -> None:
    with plain_server() as (pid, port):
        assert flood(pid, port, "many headers") > GROWTH


@pytest.mark.parametrize("kind", FLOODS)
def test_what_one_stranger_sends_is_not_kept(server: RunningServer, kind: str) -> None:
    port = urlsplit(server.url).port
    assert port is not None
    assert flood(server.process.pid, port, kind) < GROWTH
    assert server.process.poll() is None
    assert server.control.list_code_interpreters()["codeInterpreterSummaries"]
