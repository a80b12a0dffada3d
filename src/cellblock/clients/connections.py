"""The connections of the waiting client: opened by the standard library, through a proxy too, and kept between requests."""

from __future__ import annotations

import base64
import ssl
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from socket import socket
from typing import cast
from urllib.parse import SplitResult, unquote, urlsplit

from botocore.utils import get_environ_proxies

from cellblock.clients.http_connection import Answer, Broken, NoAnswer, ask, is_quiet
from cellblock.clients.messages import Request
from cellblock.clients.results import ConnectionFailed
from cellblock.clients.server import Server
from cellblock.clients.transport import CONNECTIONS, Limits, certificates, is_loopback


class Connections:
    """The connections to one server, for several threads; each is one thread's at a time."""

    def __init__(self, server: Server, limits: Limits) -> None:
        self._server = server
        self._limits = limits
        self._address = urlsplit(server.url)
        self._proxy = _proxy(self._address)
        self._idle: deque[socket] = deque()

    def close(self) -> None:
        """Close those that are idle."""
        while (connection := self._idle_one()) is not None:
            connection.close()

    def send(self, request: Request, content: Iterable[bytes] | None = None) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer; `content` is the body of a request that has none of its own. Raises ConnectionFailed."""
        with self.open(request, content) as answer:
            return answer.status, answer.headers, answer.read()

    @contextmanager
    def open(self, request: Request, content: Iterable[bytes] | None = None) -> Iterator[Answer]:
        """An answer whose body is still to be read, and its connection closed if it is not. Raises ConnectionFailed."""
        connection = self._take()
        answer: Answer | None = None
        try:
            with self._told():
                headers = request.signed(self._server)
                body = request.body if content is None else content
                answer = ask(connection, request.method, self._target(request), {**headers, **self._proxy_headers}, body)
                yield answer
        finally:
            if answer is not None and answer.may_follow and len(self._idle) < CONNECTIONS:
                self._idle.append(connection)
            else:
                connection.close()

    def _take(self) -> socket:
        """One that stands, or a new one."""
        while (connection := self._idle_one()) is not None:
            if is_quiet(connection):
                return connection
            connection.close()
        try:
            return self._connect()
        except (OSError, HTTPException) as error:
            raise ConnectionFailed(f"no server answers at {self._server.url}: {error}") from error

    def _idle_one(self) -> socket | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _connect(self) -> socket:
        next_hop = self._proxy or self._address
        seconds = self._limits.connect_seconds
        if self._address.scheme == "https":
            opened: HTTPConnection = HTTPSConnection(next_hop.hostname or "", next_hop.port, timeout=seconds, context=self._certificates)
            if self._proxy:
                opened.set_tunnel(self._address.hostname or "", self._address.port, _authorization(self._proxy))
        else:
            opened = HTTPConnection(next_hop.hostname or "", next_hop.port, timeout=seconds)
        opened.connect()
        connection = cast(socket, opened.sock)
        connection.settimeout(self._limits.answer_seconds)
        return connection

    @cached_property
    def _certificates(self) -> ssl.SSLContext:
        return certificates(self._server)

    @cached_property
    def _proxy_headers(self) -> dict[str, str]:
        """Of each request: behind a tunnel the proxy sees none."""
        return _authorization(self._proxy) if self._proxy and self._address.scheme == "http" else {}

    def _target(self, request: Request) -> str:
        """A proxy without a tunnel is asked for the whole address."""
        if self._proxy and self._address.scheme == "http":
            return self._server.url + request.path
        return self._address.path + request.path

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raises ConnectionFailed for what became of the connection."""
        url = self._server.url
        try:
            yield
        except NoAnswer as error:
            raise ConnectionFailed(f"{url} did not answer in time ({self._limits.answer_seconds:g} s without a byte)") from error
        except Broken as error:
            raise ConnectionFailed(f"the connection to {url} broke: {error}") from error


def _proxy(address: SplitResult) -> SplitResult | None:
    """The environment's for this address. Raises ConnectionFailed for one of another kind."""
    if is_loopback(address.hostname or ""):
        return None
    named = get_environ_proxies(address.geturl())
    url = named.get(address.scheme) or named.get("all")
    if not url:
        return None
    proxy = urlsplit(url if "://" in url else f"http://{url}")
    if proxy.scheme != "http":
        raise ConnectionFailed(f"the environment's proxy for {address.geturl()} is {proxy.scheme}://…: only http:// proxies are spoken to")
    return proxy


def _authorization(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    said = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    return {"proxy-authorization": f"Basic {base64.b64encode(said).decode()}"}
