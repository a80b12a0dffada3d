"""What a client says to a proxy before its bytes are passed on: HTTP's CONNECT, a plain HTTP request, or SOCKS 5 (RFC 9110, RFC 1928)."""

from __future__ import annotations

import asyncio
import ipaddress
import struct
from dataclasses import dataclass
from urllib.parse import urlsplit

HEAD_BYTES = 32 * 1024
_SOCKS, _CONNECT, _IPV4, _NAME, _IPV6 = 5, 1, 1, 3, 4
_SOCKS_DONE, _SOCKS_REFUSED, _SOCKS_FAILED, _SOCKS_UNSUPPORTED = 0, 2, 5, 7
_OF_THIS_HOP = ("proxy-connection", "proxy-authorization", "connection", "keep-alive")


class NotUnderstood(Exception):
    """The client speaks none of the three."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Where a client wants to go, what is sent there first, and the answers in its own language."""

    host: str
    port: int
    first: bytes
    done: bytes
    protocol: str

    def refusal(self, reason: str) -> bytes:
        """It may not."""
        return _socks_reply(_SOCKS_REFUSED) if self.protocol == "socks" else _http_answer("403 Forbidden", reason)

    def failure(self, reason: str) -> bytes:
        """It may, and nobody answers there."""
        return _socks_reply(_SOCKS_FAILED) if self.protocol == "socks" else _http_answer("502 Bad Gateway", reason)


async def read_wanted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Wanted:
    """Read it. Raises NotUnderstood, and what reading raises when the client goes away."""
    first = await reader.readexactly(1)
    if first[0] == _SOCKS:
        return await _socks(reader, writer)
    if not first.isalpha():
        raise NotUnderstood
    return _http(first + await reader.readuntil(b"\r\n\r\n"))


async def _socks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Wanted:
    (count,) = await reader.readexactly(1)
    await reader.readexactly(count)
    writer.write(bytes([_SOCKS, 0]))  # no authentication: the listener is one session's own
    version, command, _, kind = await reader.readexactly(4)
    if version != _SOCKS or command != _CONNECT:
        writer.write(_socks_reply(_SOCKS_UNSUPPORTED))
        raise NotUnderstood
    host = await _socks_host(reader, kind)
    (port,) = struct.unpack(">H", await reader.readexactly(2))
    return Wanted(host=host, port=port, first=b"", done=_socks_reply(_SOCKS_DONE), protocol="socks")


async def _socks_host(reader: asyncio.StreamReader, kind: int) -> str:
    if kind == _NAME:
        (length,) = await reader.readexactly(1)
        return _text(await reader.readexactly(length))
    if kind not in (_IPV4, _IPV6):
        raise NotUnderstood
    return str(ipaddress.ip_address(await reader.readexactly(4 if kind == _IPV4 else 16)))


def _http(head: bytes) -> Wanted:
    line, *fields = _text(head).removesuffix("\r\n\r\n").split("\r\n")
    parts = line.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise NotUnderstood
    method, target, version = parts
    try:
        place = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host, port = place.hostname or "", place.port or (443 if method == "CONNECT" else 80)
    except ValueError as error:
        raise NotUnderstood from error
    if not host or (method != "CONNECT" and place.scheme != "http"):
        raise NotUnderstood
    if method == "CONNECT":
        return Wanted(host=host, port=port, first=b"", done=b"HTTP/1.1 200 Connection established\r\n\r\n", protocol="http")
    path = (place.path or "/") + (f"?{place.query}" if place.query else "")
    kept = [field for field in fields if field.partition(":")[0].strip().lower() not in _OF_THIS_HOP]
    first = "\r\n".join([f"{method} {path} {version}", *kept, "Connection: close", "", ""])  # one request: the next may go elsewhere
    return Wanted(host=host, port=port, first=first.encode("latin-1"), done=b"", protocol="http")


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _http_answer(status: str, reason: str) -> bytes:
    body = f"cellblock: {reason}\n".encode("utf-8", "replace")
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def _socks_reply(code: int) -> bytes:
    return bytes([_SOCKS, code, 0, _IPV4, 0, 0, 0, 0, 0, 0])
