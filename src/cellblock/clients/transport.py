"""How the awaited client reaches a server by httpx: time limits, connections, and what of httpx's errors a user sees."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx

from cellblock.clients.messages import Request
from cellblock.clients.results import ConnectionFailed
from cellblock.clients.server import Server

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 310.0  # a call may send nothing for 300 s
CONNECTIONS = 200
PIECE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait for a connection and for the next byte of an answer, in seconds."""

    connect_seconds: float = CONNECT_SECONDS
    answer_seconds: float = ANSWER_SECONDS


def options(server: Server, limits: Limits) -> dict[str, Any]:
    """For httpx's client. A proxy of the environment is not for a server on this machine, and plain HTTP needs no certificates."""
    parts = urlsplit(server.url)
    return {
        "timeout": httpx.Timeout(limits.answer_seconds, connect=limits.connect_seconds),
        "limits": httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
        "trust_env": not is_loopback(parts.hostname or ""),
        "verify": certificates(server) if parts.scheme == "https" else False,
    }


def certificates(server: Server) -> ssl.SSLContext:
    """What proves the server's certificate."""
    return ssl.create_default_context(cafile=server.authority or None)


def sent(server: Server, request: Request, content: Any) -> dict[str, Any]:
    """The arguments of httpx's `request` and `stream`; `content` is the body of a request that has none of its own."""
    return {
        "method": request.method,
        "url": server.url + request.path,
        "headers": request.signed(server),
        "content": request.body if content is None else content,
    }


@contextmanager
def told(server: Server) -> Iterator[None]:
    """Raises ConnectionFailed for what httpx says of the connection."""
    try:
        yield
    except httpx.ConnectError as error:
        raise ConnectionFailed(f"no server answers at {server.url}: {error}") from error
    except httpx.TimeoutException as error:
        raise ConnectionFailed(f"{server.url} did not answer in time ({type(error).__name__})") from error
    except httpx.TransportError as error:
        raise ConnectionFailed(f"the connection to {server.url} broke: {error or type(error).__name__}") from error


def is_loopback(host: str) -> bool:
    """Whether it is this machine, to which no proxy of the environment leads."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
