"""The router before the API of a front end: what belongs to a session goes to the session's node, the rest is answered here."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from uuid import uuid4

import structlog

from cellblock.cluster.forwarding import CutOff, Forwarder, NotSent, Outgoing, answer_headers, declared_length, is_plain, request_head
from cellblock.cluster.hop import Answer, Headers, NodeLost
from cellblock.cluster.hops import NodeBusy, NodeUnreachable
from cellblock.cluster.membership import Members
from cellblock.cluster.placement import NodeView, place
from cellblock.cluster.routes import (
    MCP_SESSION_HEADER,
    OfMcp,
    OfSession,
    StartsSession,
    for_client,
    for_node,
    key_id_in,
    route_of,
)
from cellblock.errors import BodyTooLarge, CellblockError, NodeGone, NodeIsBusy, Throttled, UnknownKey, ValidationFailed
from cellblock.http.body import Bodies
from cellblock.http.exchange import ClientGone, Receive
from cellblock.http.streamed_answer import Send
from cellblock.model.resources import ClusterNode
from cellblock.service.key_ring import KeyRing
from cellblock.wire import encoding
from cellblock.wire.encoding import ELSEWHERE_HEADER
from cellblock.wire.operations import SMALL_BODY_BYTES

Scope = Mapping[str, Any]
Application = Callable[[Any, Receive, Send], Awaitable[None]]

SHORT_BYTES = 64 * 1024  # uvicorn gives a body of so many in one piece, unless its client is slow
_ELSEWHERE = ELSEWHERE_HEADER.lower().encode()
_log = structlog.get_logger("cellblock.request")


class Gate(Protocol):
    """Who may use /mcp."""

    async def is_open_to(self, scope: Scope) -> bool:
        """Whether a request comes from where it may and with a key's token."""
        ...


class FrontEnd:
    """The ASGI application of a front end. It proves nothing and adds nothing: the node checks each request as if it had come straight."""

    def __init__(
        self, local: Application, *, gate: Gate, keys: KeyRing, members: Members, forwarder: Forwarder, max_large_bodies: int
    ) -> None:  # fmt: skip
        self._local = local
        self._gate = gate
        self._keys = keys
        self._members = members
        self._forwarder = forwarder
        self._bodies = Bodies(max_large_bodies)
        self._rng = random.Random()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: one request."""
        route = None
        if scope["type"] == "http" and is_plain(scope["headers"]):
            route = route_of(scope["method"], scope["raw_path"], scope["query_string"], scope["headers"])
        started = time.perf_counter()
        try:
            match route:
                case OfSession(node_id) if await self._names_a_key(scope):
                    went = await self._to_node_of_session(node_id, scope, receive, send)
                case StartsSession() if await self._names_a_key(scope):
                    went = await self._start_session(scope, receive, send)
                case OfMcp() if await self._gate.is_open_to(scope):
                    went = await self._mcp(route, scope, receive, send)
                case _:
                    await self._local(scope, receive, send)
                    return
        except CellblockError as error:
            went = await _refuse(error, send)
        except ClientGone:
            went = "client gone"
        except NotSent as error:
            went = await _refuse(NodeGone("of this connection", str(error), is_sent=False), send)
        except CutOff as error:
            went = f"cut off: {error}"
        if went:
            ms = round((time.perf_counter() - started) * 1000, 2)
            _log.info("forwarded", client=_client(scope), method=scope["method"], went=went, ms=ms)

    async def _names_a_key(self, scope: Scope) -> bool:
        """Whether the request says to be of a key in force: all others are refused here, with the reason."""
        key_id = key_id_in(scope["headers"])
        if key_id is None:
            return False
        try:
            await self._keys.find(key_id)
        except (Throttled, UnknownKey):
            return False
        return True

    async def _to_node_of_session(self, node_id: str, scope: Scope, receive: Receive, send: Send) -> str:
        node = await self._members.find_soon(node_id)
        if node is None:
            await self._local(scope, receive, send)  # which knows how the session ended, if there ever was one
            return ""
        try:
            return await self._stream(node, _outgoing(node, scope, scope["headers"]), receive, send)
        except NotSent as error:
            await self._members.look_soon()
            if self._members.find(node_id) is not None:
                raise NodeGone(node.name, str(error), is_sent=False) from error
            await self._local(scope, _replaying(error.first, receive), send)
            return ""

    async def _stream(
        self, node: ClusterNode, outgoing: Outgoing, receive: Receive, send: Send, headers_of: Callable[[Answer], Headers] = answer_headers
    ) -> str:
        try:
            return f"{node.name} {await self._forwarder.stream(outgoing, receive, send, headers_of=headers_of)}"
        except NodeBusy as error:
            raise NodeIsBusy(node.name) from error
        except NotSent:
            self._members.note_unreachable(node.id)
            raise
        except NodeLost as error:
            self._members.note_unreachable(node.id)
            raise NodeGone(node.name, str(error), is_sent=True) from error

    async def _start_session(self, scope: Scope, receive: Receive, send: Send) -> str:
        body = await self._read(scope, receive)
        for view in await self._candidates():
            node = self._members.find(view.id)
            asked = await self._ask(node, scope, body, receive) if node else None
            if node and asked:
                await _send(asked[0].status, answer_headers(asked[0]), asked[1], send)
                return f"{node.name} {asked[0].status}"
        await self._local(
            scope, _replaying({"type": "http.request", "body": body, "more_body": False}, receive), send
        )  # says that there is no room, to who may ask
        return ""

    async def _candidates(self) -> list[NodeView]:
        """Nodes with room, after another look when there are none: one may have come, or have room again, just now."""
        found = place(self._members.views(), self._members.placed(), rng=self._rng)
        if not found:
            await self._members.look_soon()
            found = place(self._members.views(with_full=True), self._members.placed(), rng=self._rng)
        return found

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        """Kept whole, for the next node when the first is full."""
        length = next((value for name, value in scope["headers"] if name == b"content-length"), None)
        with self._bodies.place() as place_in_memory:
            declared = length.decode("latin-1") if length is not None else None
            return await self._bodies.read(receive, place_in_memory, declared_length=declared, limit_bytes=SMALL_BODY_BYTES)

    async def _ask(self, node: ClusterNode, scope: Scope, body: bytes, receive: Receive) -> tuple[Answer, bytes] | None:
        """The node's answer; None when another node may do it."""
        outgoing = _outgoing(node, scope, scope["headers"], body_length=len(body))
        self._members.note_placed(node.id)
        is_started = False
        try:
            answer, content = await self._forwarder.ask(outgoing, body, receive)
            if any(name == _ELSEWHERE for name, _ in answer.headers):
                self._members.note_full(node.id)
                return None
            is_started = answer.status < 300
            return answer, content
        except NodeUnreachable:
            self._members.note_unreachable(node.id)
            return None
        except NodeBusy:
            return None
        except NodeLost as error:
            self._members.note_unreachable(node.id)
            await self._members.look_soon()
            if self._members.find(node.id) is None:
                return None  # whatever it may have begun has ended with it, and the client's token is free again
            raise NodeGone(node.name, str(error), is_sent=True) from error
        finally:
            if not is_started:
                self._members.note_placed(node.id, -1)

    async def _mcp(self, route: OfMcp, scope: Scope, receive: Receive, send: Send) -> str:
        if route.node_id is None:
            return await self._mcp_connection(scope, receive, send)
        node = await self._members.find_soon(route.node_id)
        if node is None:
            await self._local(scope, receive, send)  # there is no such connection: the client makes another
            return ""
        headers = [(name, for_node(value) if name == MCP_SESSION_HEADER else value) for name, value in scope["headers"]]
        outgoing = _outgoing(node, scope, headers)
        return await self._stream(node, outgoing, receive, send, headers_of=lambda answer: _with_node(answer, node.id))

    async def _mcp_connection(self, scope: Scope, receive: Receive, send: Send) -> str:
        """A new connection, where its session will find room, or else anywhere."""
        candidates = await self._candidates() or [view for view in self._members.views() if view.is_open]
        node = self._members.find(candidates[0].id) if candidates else None
        if node is None:
            await self._local(scope, receive, send)
            return ""
        outgoing = _outgoing(node, scope, scope["headers"])
        return await self._stream(node, outgoing, receive, send, headers_of=lambda answer: _with_node(answer, node.id))


def _outgoing(node: ClusterNode, scope: Scope, headers: Headers, *, body_length: int | None = None) -> Outgoing:
    query: bytes = scope["query_string"]
    target: bytes = scope["raw_path"] + (b"?" + query if query else b"")
    head = request_head(scope["method"], target, headers, body_length=body_length)
    is_chunked = body_length is None and any(name == b"transfer-encoding" for name, _ in headers)
    is_short = not is_chunked and declared_length(headers) <= SHORT_BYTES
    return Outgoing(node_id=node.id, url=node.url, head=head, is_chunked=is_chunked, is_short=is_short)


def _with_node(answer: Answer, node_id: str) -> Headers:
    return [(name, for_client(node_id, value) if name == MCP_SESSION_HEADER else value) for name, value in answer_headers(answer)]


def _replaying(first: Mapping[str, Any] | None, receive: Receive) -> Receive:
    """What was taken of the body once more, then what the connection says."""
    messages = [dict(first)] if first is not None else []

    async def replay() -> Any:
        return messages.pop() if messages else await receive()

    return replay


async def _refuse(error: CellblockError, send: Send) -> str:
    request_id = str(uuid4())
    if not isinstance(error, BodyTooLarge | ValidationFailed):
        _log.error("not forwarded", request_id=request_id, reason=error.message)
    response = encoding.error(error, request_id)
    headers = [(name.lower().encode("ascii"), value.encode("latin-1", "replace")) for name, value in response.headers.items()]
    await _send(response.status, [*headers, (b"content-length", b"%d" % len(response.body))], bytes(response.body), send)
    return error.code


async def _send(status: int, headers: Headers, body: bytes, send: Send) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unix"
