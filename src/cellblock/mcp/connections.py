"""Streamable HTTP: the connections of clients, each with a session of its own, and their ends."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

import mcp_types as types
import structlog
from mcp.server.streamable_http import MCP_SESSION_ID_HEADER, StreamableHTTPServerTransport
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from cellblock.errors import BodyTooLarge, ValidationFailed
from cellblock.http.body import Bodies
from cellblock.http.exchange import ClientGone
from cellblock.machine.clock import Clock
from cellblock.mcp.conversation import Conversation, SessionKind
from cellblock.mcp.interpreter import Interpreter, named_server
from cellblock.mcp.told import Told
from cellblock.model.happenings import Observer
from cellblock.model.resources import BUILT_IN_INTERPRETER_ID
from cellblock.service.operations import Caller, Service
from cellblock.settings.table import Settings

BODY_BYTES = 4 * 1024 * 1024  # a model writes no larger files
CONNECTIONS_PER_KEY = 100
VERSION_HEADER = "mcp-protocol-version"

_log = structlog.get_logger("cellblock.mcp")


@dataclass(slots=True, eq=False)
class _Connection:
    """A client's connection: many requests, one session."""

    id: str
    key_id: str
    transport: StreamableHTTPServerTransport
    conversation: Conversation
    used_at: float
    task: asyncio.Task[None] | None = None
    is_connected: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class _Request:
    """A request whose body has been read."""

    headers: Headers
    body: bytes
    receive: Receive

    def again(self) -> Receive:
        """The body once more, for who reads it next."""
        messages: list[Message] = [{"type": "http.request", "body": self.body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await self.receive()

        return replay


class Connections:
    """Implements the mount's endpoint. Connections that rest too long are ended, and the one that rests longest when a key has too many."""

    def __init__(self, service: Service, *, settings: Settings, observer: Observer, clock: Clock) -> None:
        self._service = service
        self._observer = observer
        self._settings = settings
        self._clock = clock
        self._bodies = Bodies(settings.max_large_bodies)
        self._open: dict[str, _Connection] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._reaper: asyncio.Task[None] | None = None

    async def handle(self, scope: Scope, receive: Receive, send: Send, caller: Caller) -> None:
        """One request of a caller who is known."""
        headers = Headers(scope=scope)
        try:
            with self._bodies.place() as place:  # left when the body is read: a call may take long
                body = await self._bodies.read(receive, place, declared_length=headers.get("content-length"), limit_bytes=BODY_BYTES)
        except BodyTooLarge as error:
            await _refused(413, error.message)(scope, receive, send)
        except ValidationFailed as error:
            await _refused(400, error.message)(scope, receive, send)
        except ClientGone:
            return
        else:
            await self._handle(scope, _Request(headers, body, receive), send, caller)

    async def close(self) -> None:
        """End every connection and its session."""
        if self._reaper is not None:
            self._reaper.cancel()
            await asyncio.gather(self._reaper, return_exceptions=True)
        for connection in list(self._open.values()):
            self._end_soon(connection)
        await asyncio.gather(*self._ending)

    async def _handle(self, scope: Scope, request: _Request, send: Send, caller: Caller) -> None:
        if request.headers.get(VERSION_HEADER, HANDSHAKE_PROTOCOL_VERSIONS[-1]) not in HANDSHAKE_PROTOCOL_VERSIONS:
            await _without_sessions(request)(scope, request.receive, send)
            return
        session_id = request.headers.get(MCP_SESSION_ID_HEADER)
        if session_id is None and scope["method"] == "POST":
            if not _opens(request.body):
                await _refused(400, "the first request of a connection is initialize")(scope, request.receive, send)
                return
            connection = await self._connect(scope, caller)
        else:
            found = self._open.get(session_id or "")
            if found is None or found.key_id != caller.key.id:
                await _refused(404, "there is no such session; initialize again")(scope, request.receive, send)
                return
            connection = found
            connection.conversation.caller = caller
        await self._pass_on(connection, scope, request.again(), send)

    async def _pass_on(self, connection: _Connection, scope: Scope, receive: Receive, send: Send) -> None:
        connection.used_at = self._clock.now()
        try:
            await connection.transport.handle_request(scope, receive, send)
        finally:
            connection.used_at = self._clock.now()
            if connection.transport.is_terminated:
                self._end_soon(connection)

    async def _connect(self, scope: Scope, caller: Caller) -> _Connection:
        self._make_room(caller.key.id)
        query = parse_qs(scope["query_string"].decode("latin-1"))
        kind = SessionKind(
            interpreter_id=query.get("interpreter", [BUILT_IN_INTERPRETER_ID])[0],
            timeout_seconds=self._settings.max_session_timeout_seconds,
        )
        client = scope.get("client")
        service = Told(self._service, self._observer, client=client[0] if client else "")
        conversation = Conversation(service, self._clock, kind, caller)
        transport = StreamableHTTPServerTransport(uuid4().hex)
        connection = _Connection(transport.mcp_session_id or "", caller.key.id, transport, conversation, self._clock.now())
        self._open[connection.id] = connection
        connection.task = asyncio.create_task(self._serve(connection), name=f"mcp connection {connection.id}")
        await connection.is_connected.wait()
        if self._reaper is None:
            self._reaper = asyncio.create_task(self._end_the_idle(), name="end idle mcp connections")
        return connection

    async def _serve(self, connection: _Connection) -> None:
        interpreter = Interpreter(connection.conversation, result_bytes=self._settings.mcp_result_bytes)
        server = named_server(interpreter.call_tool)
        try:
            async with connection.transport.connect() as (read, write):
                connection.is_connected.set()
                await server.run(read, write, server.create_initialization_options())
        except Exception:
            _log.exception("mcp connection failed")
        finally:
            connection.is_connected.set()
            self._open.pop(connection.id, None)
            await connection.conversation.close()

    def _make_room(self, key_id: str) -> None:
        own = [connection for connection in self._open.values() if connection.key_id == key_id]
        if len(own) >= CONNECTIONS_PER_KEY:
            self._end_soon(min(own, key=lambda connection: connection.used_at))

    def _end_soon(self, connection: _Connection) -> None:
        if self._open.pop(connection.id, None) is None:
            return  # it ends already: a second cancellation would cut short what ends its session
        ending = asyncio.create_task(self._end(connection), name=f"end mcp connection {connection.id}")
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _end(self, connection: _Connection) -> None:
        await connection.transport.terminate()
        if connection.task is not None:
            connection.task.cancel()
            await asyncio.gather(connection.task, return_exceptions=True)

    async def _end_the_idle(self) -> None:
        """An open stream for notifications is a request that never ends: it counts as use only when something else comes."""
        idle_seconds = max(self._settings.mcp_idle_seconds, self._settings.call_timeout_seconds)
        while True:
            time = self._clock.now()
            for connection in [one for one in self._open.values() if one.used_at + idle_seconds <= time]:
                self._end_soon(connection)
            next_end = min((one.used_at for one in self._open.values()), default=time) + idle_seconds
            await self._clock.wait(asyncio.Event(), next_end)


def _opens(body: bytes) -> bool:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and message.get("method") == "initialize"


def _refused(status: int, message: str) -> Response:
    error = types.ErrorData(code=types.INVALID_REQUEST, message=message)
    return _json_rpc_error(status, None, error)


def _without_sessions(request: _Request) -> Response:
    """The answer to the protocol's versions that know no sessions: a session is what is served here, so clients take an older one."""
    request_id: Any = None
    try:
        message = json.loads(request.body)
        request_id = message.get("id") if isinstance(message, dict) else None
    except (ValueError, RecursionError):
        pass
    data = {"supported": list(HANDSHAKE_PROTOCOL_VERSIONS), "requested": request.headers.get(VERSION_HEADER, "")[:64]}
    error = types.ErrorData(code=types.UNSUPPORTED_PROTOCOL_VERSION, message="Unsupported protocol version", data=data)
    return _json_rpc_error(400, request_id if isinstance(request_id, int | str) else None, error)


def _json_rpc_error(status: int, request_id: int | str | None, error: types.ErrorData) -> Response:
    body = {"jsonrpc": "2.0", "id": request_id, "error": error.model_dump(exclude_none=True)}
    return JSONResponse(body, status_code=status)
