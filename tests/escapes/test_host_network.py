"""Services that listen on the host's loopback trust whoever connects; a cell must not be able to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from cells import Bench, BenchCell, Weakened, on_host

CONNECT = "print(attempt(socket.create_connection, ('127.0.0.1', {port}), 5))"
ABSTRACT = "print(attempt(socket.socket(socket.AF_UNIX).connect, '\\0{name}'))"
QUESTION = """
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print(attempt(asker.sendto, b"question", ("127.0.0.1", {port})))
"""
INTERFACES = "print(*(name for _, name in socket.if_nameindex()))"
RESOLVE = """
try:
    print(socket.getaddrinfo("example.com", 443))
except socket.gaierror:
    print("unknown")
"""


@contextmanager
def host_network(weakened: Weakened) -> Iterator[BenchCell]:
    """A cell in the host's network namespace; Landlock would keep abstract sockets apart, so it is off too."""
    bench: Bench = weakened(without=("network", "raise_loopback"), landlock=False)
    with bench.cell() as cell:
        yield cell


def test_a_service_on_the_hosts_loopback_cannot_be_reached(cell: BenchCell, weakened: Weakened) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, host_network(weakened) as weak:
        probe = CONNECT.format(port=server.getsockname()[1])
        assert weak.probe(probe) == "done"
        assert cell.probe(probe) == "ECONNREFUSED"


def test_a_name_server_on_the_hosts_loopback_hears_nothing(cell: BenchCell, weakened: Weakened) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, host_network(weakened) as weak:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        probe = QUESTION.format(port=server.getsockname()[1])
        cell.probe(probe)
        assert weak.probe(probe) == "done"
        assert server.recv(100) == b"question"
        server.setblocking(False)
        assert _is_silent(server)


def test_an_abstract_socket_of_the_host_cannot_be_reached(cell: BenchCell, weakened: Weakened) -> None:
    with socket.socket(socket.AF_UNIX) as server, host_network(weakened) as weak:
        server.bind("\0cellblock-escape")
        server.listen()
        probe = ABSTRACT.format(name="cellblock-escape")
        assert (on_host(probe), weak.probe(probe)) == ("done", "done")
        assert cell.probe(probe) == "ECONNREFUSED"


def test_an_abstract_socket_of_another_cell_cannot_be_reached(strong: Bench, cell: BenchCell) -> None:
    serve = "server = socket.socket(socket.AF_UNIX); server.bind('\\0inside'); server.listen(); print('listens')"
    connect = ABSTRACT.format(name="inside")
    with strong.cell() as other:
        assert other.probe(serve) == "listens"
        assert other.probe(connect) == "done"
        assert cell.probe(connect) == "ECONNREFUSED"


def test_a_cell_has_loopback_and_no_other_interface(cell: BenchCell) -> None:
    assert cell.probe(INTERFACES) == "lo"


def test_names_cannot_be_resolved(cell: BenchCell) -> None:
    assert cell.probe(RESOLVE) == "unknown"
    assert cell.probe("print(socket.getaddrinfo('localhost', 80)[0][4][0] in ('::1', '127.0.0.1'))") == "True"


def _is_silent(server: socket.socket) -> bool:
    try:
        server.recv(100)
    except BlockingIOError:
        return True
    return False
