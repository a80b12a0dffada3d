"""A request to a node and its answer back, both as they come; what concerns one connection alone stays behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from cellblock.cluster.hop import Answer, Headers, Hop, NodeLost
from cellblock.cluster.hops import Hops, NodeUnreachable
from cellblock.errors import ValidationFailed
from cellblock.http.body import READ_SECONDS
from cellblock.http.exchange import ClientGone, Receive
from cellblock.http.streamed_answer import UNREAD_SECONDS, Send

# RFC 9110, section 7.6.1, and Expect, which each server answers for itself.
ONE_CONNECTION = frozenset(
    {
        b"connection",
        b"expect",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
SMALL_ANSWER_BYTES = 1024 * 1024
_NOTHING_YET: Mapping[str, Any] = {"type": "http.request", "body": b"", "more_body": True}
_MADE_HERE = ONE_CONNECTION | {b"date"}  # of an answer


Message = Mapping[str, Any]


class NotSent(NodeLost):
    """The node cannot be reached, with what has been taken of the request's body."""

    def __init__(self, reason: str, first: Message | None) -> None:
        super().__init__(reason)
        self.first = first


class CutOff(Exception):
    """An answer broke off after a part of it had left; its client can tell by the missing end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request as it goes to a node."""

    node_id: str
    url: str
    head: bytes
    is_chunked: bool
    is_short: bool  # its body comes with its head, as good as always

    def framed(self, body: bytes, *, is_last: bool) -> bytes:
        """A piece of the body as it goes over the wire."""
        if not self.is_chunked:
            return body
        return (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"0\r\n\r\n" if is_last else b"")


def is_plain(headers: Headers) -> bool:
    """Whether a body comes in a form that can be passed on: of a length, or in chunks and nothing else around them."""
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    return codings in ([], [b"chunked"])


def declared_length(headers: Headers) -> int:
    """What the head says of the body's length; the parser has let nothing but digits through."""
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def request_head(method: str, target: bytes, headers: Headers, *, body_length: int | None = None) -> bytes:
    """The head to send, its end included. `body_length` is for a body that was read whole, however it came."""
    left_out = ONE_CONNECTION | _named_by_connection(headers)
    if body_length is not None:
        left_out |= {b"content-length"}
    lines = [method.encode("ascii") + b" " + target + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in headers if name not in left_out]
    if body_length is not None:
        lines.append(b"content-length: %d" % body_length)
    elif any(name == b"transfer-encoding" for name, _ in headers):
        lines.append(b"transfer-encoding: chunked")
    return b"\r\n".join((*lines, b"", b""))


def _named_by_connection(headers: Headers) -> Set[bytes]:
    return {word.strip().lower() for name, value in headers if name == b"connection" for word in value.split(b",")}


def answer_headers(answer: Answer) -> Headers:
    """What of an answer's headers is for the client."""
    left_out = _MADE_HERE | _named_by_connection(answer.headers)
    return [(name, value) for name, value in answer.headers if name not in left_out]


async def _first_piece(receive: Receive) -> Message:
    """Waited for before anything of a node is taken: a client may be slow. Raises ClientGone and ValidationFailed."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            message = await receive()
    except TimeoutError as error:
        raise ValidationFailed(f"the request body did not come within {READ_SECONDS:g} seconds") from error
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message


class Forwarder:
    """Sends requests to nodes and passes on what they answer."""

    def __init__(self, hops: Hops) -> None:
        self._hops = hops

    async def stream(
        self, outgoing: Outgoing, receive: Receive, send: Send, *, headers_of: Callable[[Answer], Headers] = answer_headers
    ) -> int:  # fmt: skip
        """Pass on a request and its answer: its status. Raises NodeLost, NotSent, NodeBusy, ClientGone, CutOff, ValidationFailed."""
        first = await _first_piece(receive) if outgoing.is_short else _NOTHING_YET
        try:
            hop = await self._hops.take(outgoing.node_id, outgoing.url)
        except NodeUnreachable as error:
            raise NotSent(str(error), first if outgoing.is_short else None) from error
        upload = _Upload(outgoing, hop, receive)
        try:
            upload.begin(first)
            answer = await hop.head()
            await _pass_on(hop, answer, headers_of(answer), send)
        finally:
            upload.stop()
            self._hops.give_back(outgoing.node_id, hop, may_be_used_again=upload.is_complete)
        return answer.status

    async def ask(self, outgoing: Outgoing, body: bytes, receive: Receive) -> tuple[Answer, bytes]:
        """The whole answer to a request whose body is known, for one whose answers are small. Raises NodeLost, NodeBusy, ClientGone."""
        hop = await self._hops.take(outgoing.node_id, outgoing.url)
        upload = _Upload(outgoing, hop, receive)
        try:
            upload.begin({"body": body, "more_body": False})
            answer = await hop.head()
            parts: list[bytes] = []
            while piece := await hop.piece():
                parts.append(piece)
                if sum(map(len, parts)) > SMALL_ANSWER_BYTES:
                    raise NodeLost("its answer is too long")
        finally:
            upload.stop()
            self._hops.give_back(outgoing.node_id, hop, may_be_used_again=upload.is_complete)
        return answer, b"".join(parts)


class _Upload:
    """The rest of a request's body on its way, then the watch for a client that goes away."""

    def __init__(self, outgoing: Outgoing, hop: Hop, receive: Receive) -> None:
        self._outgoing = outgoing
        self._hop = hop
        self._receive = receive
        self._task: asyncio.Task[None] | None = None
        self.is_complete = False

    def begin(self, first: Message) -> None:
        """Send the head and the first piece."""
        self.is_complete = not first.get("more_body", False)
        piece = self._outgoing.framed(first.get("body", b""), is_last=self.is_complete)
        self._hop.begin(self._outgoing.head + piece)
        self._task = asyncio.create_task(self._follow(), name="pass on a request")

    def stop(self) -> None:
        """The answer is over, or will not come."""
        if self._task is not None:
            self._task.cancel()

    async def _follow(self) -> None:
        while (message := await self._receive())["type"] == "http.request":
            if self.is_complete:
                continue
            self.is_complete = not message.get("more_body", False)
            piece = self._outgoing.framed(message.get("body", b""), is_last=self.is_complete)
            if piece and not await self._is_taken(piece):
                return
        self._hop.close(ClientGone())

    async def _is_taken(self, piece: bytes) -> bool:
        try:
            await self._hop.write(piece)
        except Exception as error:  # whoever waits for the answer is told
            self._hop.close(error)
            return False
        return True


async def _pass_on(hop: Hop, answer: Answer, headers: Headers, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    try:
        while piece := await hop.piece():
            async with asyncio.timeout(UNREAD_SECONDS):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
    except ClientGone:
        raise
    except Exception as error:
        raise CutOff(str(error)) from error
    await send({"type": "http.response.body", "body": b""})
