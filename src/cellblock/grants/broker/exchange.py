"""One request of a cell: checked, signed by the role, sent on to S3, and S3's answer sent back; both bodies in small pieces."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import h11
from botocore.credentials import ReadOnlyCredentials

from cellblock.grants.broker import address, chunks, signing
from cellblock.grants.broker.credentials import SessionCredentials
from cellblock.grants.broker.headers import forwarded, returned
from cellblock.grants.broker.peer import LOST, Peer
from cellblock.grants.broker.refusals import Refused, denied, invalid
from cellblock.grants.broker.requests import Incoming, Reach, Target, local_path, read_head, read_target
from cellblock.grants.roles import NoCredentials, RoleCredentials

_ANSWER_SECONDS = 300.0  # S3 puts the parts of a large object together before it answers
_DRAINED_BYTES = 1 << 20  # of a body that nobody wants, so that its sender reads why
_DRAIN_SECONDS = 5.0
_KEPT_SECONDS = 4.0  # that a connection to S3 may have been idle and is used again; S3 closes after some 5

Connect = Callable[[], Awaitable[Peer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What one session may do, and how it is done."""

    session_id: str
    reach: Reach
    issued: SessionCredentials
    role: RoleCredentials
    endpoint: str
    region: str
    connect: Connect
    on_refused: Callable[[str, str], None]


@dataclass(slots=True)
class CellConnection:
    """One connection from a cell, with at most one of its own to S3 behind it."""

    access: Access
    cell: Peer
    _upstream: Peer | None = None
    _idle_since: float = 0.0

    async def serve(self) -> None:
        """Until either side has had enough."""
        try:
            with contextlib.suppress(*LOST):
                while await self._serve_one():
                    self.cell.http.start_next_cycle()
            with contextlib.suppress(*LOST):
                await self._tell_nonsense()
                await self._drain()
            await self.cell.close_gently()
        finally:
            self.cell.close()
            self._drop_upstream()

    async def _serve_one(self) -> bool:
        """Whether another request may follow."""
        request = await self.cell.receive()
        if not isinstance(request, h11.Request):
            return False
        method, target = request.method.decode("ascii"), request.target.decode("ascii")
        try:
            await self._answer(read_head(method, target, request.headers))
        except Refused as refusal:
            self.access.on_refused(f"{method} {target.partition('?')[0]}", refusal.reason)
            await self._send(refusal.status, b"" if method == "HEAD" else refusal.body, "application/xml")
        return self.cell.may_begin_again

    async def _answer(self, incoming: Incoming) -> None:
        if incoming.target.partition("?")[0] == address.CREDENTIALS_PATH:
            local_path(incoming, address.OWN_NAMES)
            await self._send_credentials(incoming)
            return
        target = read_target(incoming, self.access.reach)
        headers = forwarded(incoming.headers, self.access.reach)
        signing.verify(incoming, self.access.issued.find(signing.key_id_of(incoming)))
        if target is None:
            await self._send(200, _bucket_list(self.access.reach), "application/xml")
        else:
            await self._relay(incoming, target, headers)

    async def _send_credentials(self, incoming: Incoming) -> None:
        if incoming.method != "GET":
            raise denied("credentials are only read")
        document = self.access.issued.document(incoming.headers.get("authorization", ""))
        await self._role_credentials()  # a role that cannot be had is told here, where SDKs show it
        await self._send(200, document, "application/json")

    async def _send(self, status: int, body: bytes, kind: str) -> None:
        """An answer of the broker's own, before anything of the request's body is read."""
        headers = [("content-type", kind), ("content-length", str(len(body)))]
        if self.cell.http.their_state is h11.SEND_BODY and not isinstance(self.cell.http.next_event(), h11.EndOfMessage):
            headers.append(("connection", "close"))
        phrase = HTTPStatus(status).phrase  # without one, botocore takes the line for no status and goes on to send the body
        await self.cell.send(h11.Response(status_code=status, headers=headers, reason=phrase.encode()))
        if body:
            await self.cell.send(h11.Data(data=body))
        await self.cell.send(h11.EndOfMessage())

    async def _relay(self, incoming: Incoming, target: Target, headers: dict[str, str]) -> None:
        credentials = await self._role_credentials()
        unchunker = chunks.Unchunker() if chunks.is_chunked(headers) else None
        if unchunker:
            headers = chunks.plain(headers)
        headers["host"] = urlsplit(self.access.endpoint).netloc
        signed = signing.sign(
            incoming.method, target, headers, url=self.access.endpoint, credentials=credentials, region=self.access.region
        )
        try:
            upstream = await self._fresh_upstream()
        except LOST as error:
            raise Refused(503, "ServiceUnavailable", f"S3 cannot be reached: {type(error).__name__}") from error
        if self.cell.http.they_are_waiting_for_100_continue:
            await self.cell.send(h11.InformationalResponse(status_code=100, headers=[]))
        await upstream.send(h11.Request(method=incoming.method, target=target.path_and_query, headers=list(signed.items())))
        await self._exchange_bodies(upstream, unchunker)
        self._keep_upstream()

    async def _exchange_bodies(self, upstream: Peer, unchunker: chunks.Unchunker | None) -> None:
        """Both ways at once: S3 may answer before it has read everything. Whoever is lost takes the other one along."""
        upload = asyncio.create_task(_copy(self.cell, upstream) if unchunker is None else _copy_plain(self.cell, upstream, unchunker))
        head = asyncio.create_task(_head_of(upstream))
        try:
            await asyncio.wait({upload, head}, return_when=asyncio.FIRST_COMPLETED)
            if upload.done():
                upload.result()
                await asyncio.wait({head}, timeout=_ANSWER_SECONDS)
            if not head.done():
                raise TimeoutError("S3 does not answer")
            response = head.result()
            head_on = h11.Response(status_code=response.status_code, headers=returned(response.headers), reason=response.reason)
            await self.cell.send(head_on)
            await _copy(upstream, self.cell)
        finally:
            for task in (upload, head):
                task.cancel()
            await asyncio.gather(upload, head, return_exceptions=True)

    async def _role_credentials(self) -> ReadOnlyCredentials:
        try:
            return await self.access.role.current()
        except NoCredentials as error:
            raise Refused(503, "ServiceUnavailable", str(error)) from error

    async def _fresh_upstream(self) -> Peer:
        """The connection that this one used before, while S3 is sure to keep it, else a fresh one."""
        time = asyncio.get_running_loop().time()
        if self._upstream is not None and (self._upstream.is_gone or time - self._idle_since > _KEPT_SECONDS):
            self._drop_upstream()
        if self._upstream is None:
            self._upstream = await self.access.connect()
        return self._upstream

    def _keep_upstream(self) -> None:
        if self._upstream is not None and self._upstream.may_begin_again:
            self._upstream.http.start_next_cycle()
            self._idle_since = asyncio.get_running_loop().time()
        else:
            self._drop_upstream()

    def _drop_upstream(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None

    async def _tell_nonsense(self) -> None:
        if self.cell.http.their_state is h11.ERROR and self.cell.http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            refusal = invalid("this is not HTTP as it can be sent on")
            self.access.on_refused("a request", refusal.reason)
            await self._send(refusal.status, refusal.body, "application/xml")

    async def _drain(self) -> None:
        """Take some of a body that nobody wants, so that its sender comes to read the answer."""
        left = _DRAINED_BYTES
        async with asyncio.timeout(_DRAIN_SECONDS):
            while left > 0 and self.cell.http.their_state is h11.SEND_BODY and not self.cell.http.they_are_waiting_for_100_continue:
                event = await self.cell.receive()
                left -= len(event.data) if isinstance(event, h11.Data) else left


async def _copy(source: Peer, target: Peer) -> None:
    """The body of the message that has begun; never more of it in memory than the buffers of both hold."""
    async for piece in source.body():
        await target.send(h11.EndOfMessage() if isinstance(piece, h11.EndOfMessage) else piece)


async def _copy_plain(source: Peer, target: Peer, unchunker: chunks.Unchunker) -> None:
    """The same for a body that is coded; h11 sees to it that the length is what the head promised."""
    async for piece in source.body():
        if isinstance(piece, h11.Data):
            await target.send(h11.Data(data=unchunker.feed(bytes(piece.data))))
    if not unchunker.is_over:
        raise chunks.NotChunked("the last piece is missing")
    await target.send(h11.EndOfMessage())


async def _head_of(upstream: Peer) -> h11.Response:
    while True:
        event = await upstream.receive(seconds=None)
        if isinstance(event, h11.Response):
            return event
        if not isinstance(event, h11.InformationalResponse):
            raise EOFError("S3 closed the connection without an answer")


def _bucket_list(reach: Reach) -> bytes:
    """The buckets that are granted by their whole name; S3 is not asked, whose list names those of others too."""
    named = [name for name in reach.buckets if "*" not in name]
    date = "<CreationDate>1970-01-01T00:00:00.000Z</CreationDate>"  # not known here, and SDKs want one
    buckets = "".join(f"<Bucket><Name>{escape(name)}</Name>{date}</Bucket>" for name in named)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Owner><ID>cellblock</ID></Owner><Buckets>{buckets}</Buckets></ListAllMyBucketsResult>"
    ).encode()
