"""A small internet of two network namespaces: the machine that runs cells, and the world with servers on addresses of every kind."""

from __future__ import annotations

import ctypes
import itertools
import os
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

PUBLIC = "93.184.216.34"
OTHER_PUBLIC = "45.33.7.9"
PRIVATE = ("10.1.2.3", "172.16.5.5", "192.168.7.7", "100.64.1.1", "169.254.169.254", "203.0.113.9")
MACHINE, ROUTER = "11.1.0.2", "11.1.0.1"
NAMES = {"web.example": PUBLIC, "api.web.example": PUBLIC, "other.example": OTHER_PUBLIC, "inside.example": PRIVATE[0]}
TURNING_NAME = "turning.example"  # leads to a public and to a private address in turn
TURNING = itertools.cycle([PUBLIC, PRIVATE[0]])
WEB_PORT, ECHO_PORT, SERVICE_PORT = 80, 7777, 8099
CLONE_NEWNET = 0x40000000

ValueT = TypeVar("ValueT")


class World:
    """Both namespaces. `served` is what web servers give for a path; others are told the address that they asked."""

    def __init__(self, machine: int, world: int) -> None:
        self._machine = machine
        self._world = world
        self.served: dict[str, bytes] = {}

    def enter(self) -> None:
        """Put this thread, and what it starts, on the machine that runs cells."""
        _enter(self._machine)

    @contextmanager
    def secured(self, certificate: Path, key: Path) -> Iterator[None]:
        """The same web server on the port for HTTPS."""
        server = self.outside(ThreadingHTTPServer, ("0.0.0.0", 443), _web(self))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()

    def on_machine(self, function: Callable[..., ValueT], *arguments: Any) -> ValueT:
        """Call a function there."""
        return _within(self._machine, function, *arguments)

    def outside(self, function: Callable[..., ValueT], *arguments: Any) -> ValueT:
        """Call a function in the world."""
        return _within(self._world, function, *arguments)


@contextmanager
def small_internet() -> Iterator[World]:
    """Needs the rights of root; all of it is gone at the end."""
    with ExitStack() as stack:
        machine, world = (stack.enter_context(_namespace()) for _ in range(2))
        _connect(machine, world)
        made = World(_open(stack, machine), _open(stack, world))
        for server in (*_servers(made.outside, made), *_servers(made.on_machine, made), *_names_served(made)):
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield made


@contextmanager
def _namespace() -> Iterator[int]:
    """The id of a process that lives in a namespace of its own until its input ends."""
    with subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield holder.pid


def _connect(machine: int, world: int) -> None:
    addresses = [PUBLIC, OTHER_PUBLIC, *PRIVATE, *_name_servers()]
    for command in ("ip link set lo up", f"ip link add out type veth peer name in netns {world}", f"ip addr add {MACHINE}/24 dev out"):
        _run(machine, command)
    for command in ("ip link set lo up", f"ip addr add {ROUTER}/24 dev in", "ip link set in up"):
        _run(world, command)
    for address in addresses:
        if not address.startswith("127."):
            _run(world, f"ip addr add {address}/32 dev lo")
    _run(machine, "ip link set out up")
    _run(machine, f"ip route add default via {ROUTER}")


def _run(pid: int, command: str) -> None:
    subprocess.run(["nsenter", "-t", str(pid), "-n", *command.split()], check=True)


def _name_servers() -> list[str]:
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith("nameserver") and ":" not in line]


def _open(stack: ExitStack, pid: int) -> int:
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    stack.callback(os.close, descriptor)
    return descriptor


def _servers(place: Callable[..., Any], world: World) -> Iterator[socketserver.BaseServer]:
    for port in (WEB_PORT, SERVICE_PORT):
        yield place(ThreadingHTTPServer, ("0.0.0.0", port), _web(world))
    yield place(socketserver.ThreadingUDPServer, ("0.0.0.0", ECHO_PORT), _Echo)


def _names_served(world: World) -> Iterator[socketserver.BaseServer]:
    """Where this host's resolvers ask, each on its own address, which an answer must come from."""
    for address in _name_servers():
        place = world.on_machine if address.startswith("127.") else world.outside
        yield place(socketserver.ThreadingUDPServer, (address, 53), _Names)


def _web(world: World) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = world.served.get(self.path.partition("?")[0])
            asked = f"you reached {self.connection.getsockname()[0]}\n".encode()
            body = asked if found is None else found
            self.send_response(200 if found is not None or self.path == "/" else 404)
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, channel = self.request
        channel.sendto(b"echo " + data, self.client_address)


class _Names(socketserver.BaseRequestHandler):
    """Answers questions for addresses of version 4; other questions have empty answers, unknown names none (RFC 1035)."""

    def handle(self) -> None:
        data, channel = self.request
        question = data[12:]
        labels, place = [], 0
        while question[place]:
            labels.append(question[place + 1 : place + 1 + question[place]].decode())
            place += 1 + question[place]
        (kind,) = struct.unpack(">H", question[place + 1 : place + 3])
        address = next(TURNING) if labels == TURNING_NAME.split(".") else NAMES.get(".".join(labels).lower())
        answers = [struct.pack(">HHHIH", 0xC00C, 1, 1, 0, 4) + socket.inet_aton(address)] if address and kind == 1 else []
        head = data[:2] + struct.pack(">HHHHH", 0x8180 if address else 0x8183, 1, len(answers), 0, 0)
        channel.sendto(head + question[: place + 5] + b"".join(answers), self.client_address)


def _within(namespace: int, function: Callable[..., ValueT], *arguments: Any) -> ValueT:
    """In a thread of its own, since a namespace belongs to a thread."""
    results: list[ValueT] = []

    def work() -> None:
        _enter(namespace)
        results.append(function(*arguments))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    return results[0]


def _enter(namespace: int) -> None:
    assert ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
