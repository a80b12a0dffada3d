"""`/mcp` beside the API: who may come in, before anything of the protocol is imported; the rest of it waits for the first who may."""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

import structlog

from cellblock.errors import CellblockError, UnknownKey
from cellblock.machine.clock import Clock
from cellblock.model.happenings import Observer
from cellblock.model.resources import AccessKey, now
from cellblock.service.key_ring import KeyRing
from cellblock.service.operations import Caller, Service
from cellblock.settings.table import Settings
from cellblock.wire.bearer import is_token_of, key_id_of

MCP_PATH = "/mcp"
ENDPOINT_MODULE = "cellblock.mcp.connections"
TOKEN_BYTES = 512

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = structlog.get_logger("cellblock.mcp")


class Endpoint(Protocol):
    """What answers those who may come in."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, caller: Caller) -> None:
        """One request."""
        ...

    async def close(self) -> None:
        """End all connections."""
        ...


class McpGate:
    """Who may use /mcp: by Host, Origin and bearer token."""

    def __init__(self, keys: KeyRing, settings: Settings) -> None:
        self._keys = keys
        self._origins = settings.mcp_origins
        self._allowed_hosts = {urlsplit(origin).netloc for origin in settings.mcp_origins}

    async def is_open_to(self, scope: Mapping[str, Any]) -> bool:
        """Whether a request comes from where it may and with a key's token."""
        headers = _headers(scope)
        try:
            return self.is_expected(scope, headers) and await self.key(headers.get("authorization", "")) is not None
        except CellblockError:
            return False

    def is_expected(self, scope: Mapping[str, Any], headers: dict[str, str]) -> bool:
        """A page in a browser must not reach a server of its user's machine, whatever name the page gives it (DNS rebinding)."""
        origin, host = headers.get("origin"), headers.get("host", "")
        if origin is not None and origin not in self._origins:
            return False
        is_local = scope.get("server") is not None and _is_loopback(scope["server"][0])
        return not is_local or host in self._allowed_hosts or _is_loopback(urlsplit(f"//{host}").hostname or "")

    async def key(self, authorization: str) -> AccessKey:
        """The key that the token belongs to. Raises UnknownKey."""
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer" or not 0 < len(token) <= TOKEN_BYTES:
            raise UnknownKey
        key = await self._keys.find(key_id_of(token))
        if any(is_token_of(token, key.id, secret) for secret in key.secrets(now())):
            return key
        raise UnknownKey


class McpMount:
    """The whole ASGI application: what is not for the path goes to the API, the rest through the gate to what is loaded then."""

    def __init__(
        self, api: Application, service: Service, gate: McpGate, *, settings: Settings, observer: Observer, clock: Clock
    ) -> None:  # fmt: skip
        self._api = api
        self._service = service
        self._gate = gate
        self._settings = settings
        self._observer = observer
        self._clock = clock
        self._loading: asyncio.Task[Endpoint] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: one request."""
        if scope["type"] != "http" or scope["path"] != MCP_PATH:
            await self._api(scope, receive, send)
            return
        request_id, started = str(uuid4()), time.perf_counter()
        headers = _headers(scope)
        if not self._gate.is_expected(scope, headers):
            await _refuse(send, 403, "this Host or Origin may not use /mcp; the setting is CELLBLOCK_MCP_ORIGINS")
            return
        try:
            key = await self._gate.key(headers.get("authorization", ""))
        except CellblockError:
            await _refuse(send, 401, "a bearer token of an access key is needed; `cellblock mcp --print-config --http` prints one")
            return
        endpoint = await self._endpoint()
        try:
            await endpoint.handle(scope, receive, send, Caller(key=key, region=self._settings.region, request_id=request_id))
        except Exception:
            _log.exception("mcp request failed", request_id=request_id, key=key.name)
            raise
        ms = round((time.perf_counter() - started) * 1000, 2)
        _log.info("mcp request", request_id=request_id, method=scope["method"], account=key.account, key=key.name, ms=ms)

    async def close(self) -> None:
        """End all connections."""
        if self._loading is not None:
            await (await self._loading).close()

    async def _endpoint(self) -> Endpoint:
        """The endpoint, loaded once; a second request waits for the first one's loading."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load(), name="load the Model Context Protocol")
        return await asyncio.shield(self._loading)

    async def _load(self) -> Endpoint:
        module = await asyncio.to_thread(importlib.import_module, ENDPOINT_MODULE)  # a second of work: not on the event loop
        endpoint: Endpoint = module.Connections(self._service, settings=self._settings, observer=self._observer, clock=self._clock)
        return endpoint


def _headers(scope: Mapping[str, Any]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _refuse(send: Send, status: int, message: str) -> None:
    body = json.dumps({"error": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
