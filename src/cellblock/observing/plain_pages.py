"""Pages beside the API, which need no signature: whether the server lives, and whether it can take sessions."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from cellblock.wire.encoding import Response, json_bytes

JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain; charset=utf-8"}
FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-real-ip")

Scope = MutableMapping[str, Any]
PlainPage = Callable[[Scope], Awaitable[Response]]


def health(live_count: Callable[[], int]) -> PlainPage:
    """`/ping`: answers as long as the process does."""

    async def page(_scope: Scope) -> Response:
        return Response(200, JSON, json_bytes({"status": "Healthy", "sessions": live_count()}))

    return page


class Readiness(Protocol):
    """What tells whether sessions can be taken."""

    @property
    def trouble(self) -> str:
        """Why a new session would fail; the empty string when it would not."""
        ...


def readiness(figures: Readiness) -> PlainPage:
    """`/ready`: 503 while a new session would fail, for who sends traffic here."""

    async def page(_scope: Scope) -> Response:
        trouble = figures.trouble
        body = {"status": "NotReady", "reason": trouble} if trouble else {"status": "Ready"}
        return Response(503 if trouble else 200, JSON, json_bytes(body))

    return page


def of_this_machine(page: PlainPage) -> PlainPage:
    """The page for programs of this machine alone. What a proxy sends on for others is theirs, wherever the proxy runs."""

    async def guarded(scope: Scope) -> Response:
        client = scope.get("client")
        is_forwarded = any(name.lower() in FORWARDED for name, _ in scope["headers"])
        is_local = client is None or ipaddress.ip_address(client[0]).is_loopback
        return await page(scope) if is_local and not is_forwarded else _refusal("only programs of this machine may read this page")

    return guarded


def with_token(page: PlainPage, token: str) -> PlainPage:
    """The page for who sends the token."""
    expected = f"Bearer {token}".encode()

    async def guarded(scope: Scope) -> Response:
        given = next((value for name, value in scope["headers"] if name.lower() == b"authorization"), b"")
        return await page(scope) if hmac.compare_digest(given, expected) else _refusal("send the token: Authorization: Bearer …")

    return guarded


def _refusal(text: str) -> Response:
    return Response(403, TEXT, text.encode() + b"\n")
