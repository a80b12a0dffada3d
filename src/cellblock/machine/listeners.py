"""The sockets that the server takes connections from: an address, a Unix socket, and those that a service manager holds for it."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

TCP_KEEP_ALIVE_SECONDS = 30  # a long call sends nothing before its result; routers between must not forget it
UNREAD_SECONDS = 120  # a client that takes nothing of its answer for so long is forgotten with it (tcp(7), TCP_USER_TIMEOUT)
UNIX_MODE = 0o660


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen; port 0 takes a free one. Sockets that are held for the server take the place of host and port."""

    host: str
    port: int
    is_tls: bool = False
    unix_socket: str = ""
    held: tuple[socket.socket, ...] = ()

    @property
    def url(self) -> str:
        """The address as clients write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_tls else 'http'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Listeners:
    """Bound sockets; those of the network speak TLS where it is asked for, Unix sockets never."""

    network: tuple[socket.socket, ...]
    unix: tuple[socket.socket, ...]

    def bound(self, address: Address) -> Address:
        """The address with the host and port that were really taken."""
        if not self.network:
            return address
        name = self.network[0].getsockname()
        host = str(name[0]) if address.held else address.host
        return Address(host=host, port=int(name[1]), is_tls=address.is_tls, unix_socket=address.unix_socket, held=address.held)


@contextlib.contextmanager
def listening(address: Address) -> Iterator[Listeners]:
    """Bind before anything slow is started: an address in use is told at once. Raises OSError."""
    with ExitStack() as parts:
        network = [held for held in address.held if held.family != socket.AF_UNIX]
        unix = [held for held in address.held if held.family == socket.AF_UNIX]
        if not address.held:
            network.append(parts.enter_context(_network(address)))
        if address.unix_socket:
            unix.append(parts.enter_context(unix_listener(Path(address.unix_socket), UNIX_MODE)))
        yield Listeners(tuple(network), tuple(unix))


@contextlib.contextmanager
def unix_listener(path: Path, mode: int) -> Iterator[socket.socket]:
    """A socket at a path, removed at the end; one that a dead server left is taken over. Raises OSError.

    It is reached through its directory's descriptor, because a socket's address has room for 107 bytes only (unix(7)).
    """
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        short = f"/proc/self/fd/{directory}/{path.name}"
        _remove_dead(path, short)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(short)
            try:
                path.chmod(mode)
                yield listener
            finally:
                path.unlink(missing_ok=True)
    finally:
        os.close(directory)


def connect_unix(path: Path, seconds: float) -> socket.socket:
    """A connection to the socket at a path. Raises OSError."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(seconds)
        try:
            connection.connect(f"/proc/self/fd/{directory}/{path.name}")
        except OSError:
            connection.close()
            raise
        return connection
    finally:
        os.close(directory)


@contextlib.contextmanager
def _network(address: Address) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # accepted connections inherit it (socket(7))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, TCP_KEEP_ALIVE_SECONDS)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, TCP_KEEP_ALIVE_SECONDS)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
        listener.bind((address.host, address.port))
        yield listener


def _remove_dead(path: Path, short: str) -> None:
    """Remove a socket that nobody listens on; what is no socket is left alone, and the bind will say so."""
    if not path.exists() or not stat.S_ISSOCK(path.lstat().st_mode):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(short)
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
