"""HTTP in, answers and event streams out: proves who asks, runs the operation, and notices clients that go away."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from cellblock.errors import CellblockError, Internal
from cellblock.http.body import Bodies, Body, Place
from cellblock.http.exchange import ClientGone, ClientWatch, Receive
from cellblock.http.file_requests import Upload, receive_file, send_file
from cellblock.http.followed_answer import is_wanted, send_followed
from cellblock.http.streamed_answer import Send, StreamedAnswer
from cellblock.http.transfers import Transfers
from cellblock.machine.clock import Clock
from cellblock.model.happenings import Observer, RequestRecord
from cellblock.model.requests import (
    CreateInterpreter,
    DeleteInterpreter,
    GetInterpreter,
    GetSession,
    Invoke,
    ListInterpreters,
    ListSessions,
    OperationRequest,
    StartSession,
    StopSession,
)
from cellblock.model.resources import Interpreter, Page, Session, now
from cellblock.observing.plain_pages import PlainPage, Scope
from cellblock.service import tool_results
from cellblock.service.attempts import Attempt
from cellblock.service.following import OutputFollower
from cellblock.service.key_ring import KeyRing
from cellblock.service.operations import Caller, Delivery, Service
from cellblock.wire import encoding, eventstream
from cellblock.wire.encoding import Context, Response
from cellblock.wire.file_paths import MARK, file_in_session
from cellblock.wire.head import Head, read_head
from cellblock.wire.operations import Match, match
from cellblock.wire.signature import prove_streamed, read_authorization, verify
from cellblock.wire.sigv4 import UNSIGNED, Authorization
from cellblock.wire.validation import parse

LARGE_BYTES = 256 * 1024  # from here on, hashing, parsing and encoding leave the event loop
CLIENT_GONE_STATUS = 499  # never sent; nginx's number for an answer that nobody waits for

Method = Callable[[Service, Caller, Any], Awaitable[Interpreter | Session | Page[Any]]]
ResultT = TypeVar("ResultT")

_METHODS: dict[type[OperationRequest], Method] = {
    CreateInterpreter: Service.create_interpreter,
    GetInterpreter: Service.get_interpreter,
    ListInterpreters: Service.list_interpreters,
    DeleteInterpreter: Service.delete_interpreter,
    StartSession: Service.start_session,
    StopSession: Service.stop_session,
    GetSession: Service.get_session,
    ListSessions: Service.list_sessions,
}

_log = structlog.get_logger("cellblock.request")


@dataclass(slots=True)
class _Exchange:
    """One request on its way, with what will be said of it."""

    receive: Receive
    send: Send
    arrived_at: float
    record: RequestRecord
    stream: StreamedAnswer | None = None  # an answer that is sent while it is made

    @property
    def has_begun(self) -> bool:
        """Whether a part of the answer has left; what goes wrong from then on cuts it off."""
        return self.stream is not None and self.stream.has_begun

    def streamed(self) -> StreamedAnswer:
        """Answer by a stream."""
        self.stream = StreamedAnswer(self.receive, self.send)
        return self.stream


@dataclass(frozen=True, slots=True)
class _Signed:
    """The head of a request whose signature waits for the body."""

    head: Head
    matched: Match
    authorization: Authorization
    secrets: tuple[str, ...]

    def prove_and_parse(self, body: Body) -> OperationRequest:
        """Nothing of the body is believed before its signature is."""
        verify(self.head, self.authorization, secrets=self.secrets, body_sha256=body.digest)
        return parse(self.matched, self.head, body.data)


class Application:
    """The ASGI application of a service, and of pages beside the API that need no signature."""

    def __init__(
        self,
        *,
        service: Service,
        keys: KeyRing,
        max_large_bodies: int,
        pages: Mapping[str, PlainPage],
        observer: Observer,
        clock: Clock,
    ) -> None:
        self._service = service
        self._transfers = Transfers(service)
        self._keys = keys
        self._clock = clock
        self._bodies = Bodies(max_large_bodies)
        self._pages = pages
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: one connection's request."""
        if scope["type"] != "http":
            raise NotImplementedError(f"ASGI scope {scope['type']}")
        if page := self._pages.get(scope["path"]):
            await _send(send, await page(scope))
            return
        started = time.perf_counter()
        record = RequestRecord(client=_client(scope), started_ns=time.time_ns())
        exchange = _Exchange(receive, send, self._clock.now(), record)
        try:
            response = await self._answer(scope, exchange)
        except ClientGone:
            _log.info("client went away", request_id=record.request_id, **record.facts())
            record.status, record.error = CLIENT_GONE_STATUS, "ClientGone"
            self._tell(record, started)
            return
        record.status = response.status if response is not None else 200
        self._tell(record, started)  # before the answer leaves: what a client knows of stands in the audit log
        if response is not None and not exchange.has_begun:
            await _send(send, response)
        ms = round((time.perf_counter() - started) * 1000, 2)
        _log.info("request", request_id=record.request_id, client=record.client, status=record.status, ms=ms, **record.facts())

    def _tell(self, record: RequestRecord, started: float) -> None:
        record.seconds = time.perf_counter() - started
        self._observer.request_done(record)

    async def _answer(self, scope: Scope, exchange: _Exchange) -> Response | None:
        """The response, an error's too; None when it was sent while it was made. Raises ClientGone alone."""
        try:
            head = read_head(scope["method"], scope["raw_path"], scope["query_string"], scope["headers"])
            if MARK in head.path:
                return await self._transfer(head, exchange)
            matched = match(head)
            exchange.record.operation, exchange.record.headers = matched.operation.name, head.headers
            return await self._operate(head, matched, exchange)
        except (ClientGone, asyncio.CancelledError):
            raise
        except CellblockError as error:
            return _refusal(error, exchange)
        except Exception:
            record = exchange.record
            _log.exception("request failed", request_id=record.request_id, **record.facts())
            return _refusal(Internal(f"the request failed; the server's log has the cause under request id {record.request_id}"), exchange)

    async def _operate(self, head: Head, matched: Match, exchange: _Exchange) -> Response | None:
        arrived = now()
        authorization = read_authorization(head, arrived)
        record = exchange.record
        caller = await self._caller(head, authorization, record)
        signed = _Signed(head, matched, authorization, caller.key.secrets(arrived))
        with self._bodies.place() as place:
            request, digest = await self._read(signed, exchange.receive, place)
            record.is_proven, record.interpreter_id, record.session_id = True, *_named(request)
            if isinstance(request, Invoke):
                delivery = Delivery(arrived_at=exchange.arrived_at, body_digest=digest, retry_seconds=caller.attempt.retry_seconds)
                if is_wanted(head, request):
                    await self._invoke_followed(caller, request, delivery, exchange)
                    return None
                return await self._invoke(caller, request, delivery, exchange)
            value = await _METHODS[type(request)](self._service, caller, request)
        if isinstance(value, Session):
            record.session_id = value.id
        elif isinstance(value, Interpreter):
            record.interpreter_id = value.id
        return encoding.response(matched.operation, value, Context(request_id=record.request_id, region=caller.region))

    async def _caller(self, head: Head, authorization: Authorization, record: RequestRecord) -> Caller:
        """Who says to have signed; a secret of the key still has to prove it."""
        key = await self._keys.find(authorization.key_id)
        record.key, record.region = key, authorization.region
        return Caller(key=key, region=authorization.region, request_id=record.request_id, attempt=Attempt.read(head))

    async def _transfer(self, head: Head, exchange: _Exchange) -> Response | None:
        """A file as a stream, beside the API."""
        file, record, arrived = file_in_session(head), exchange.record, now()
        record.operation, record.headers = f"{head.method.title()}File", head.headers
        authorization = read_authorization(head, arrived, payloads=(UNSIGNED,))
        caller = await self._caller(head, authorization, record)
        digest = prove_streamed(head, authorization, secrets=caller.key.secrets(arrived))
        record.is_proven, record.interpreter_id, record.session_id = True, file.interpreter_id, file.session_id
        if head.method == "GET":
            async with exchange.streamed() as answer:
                await send_file(self._transfers, caller, file, answer)
            return None
        declared = head.headers.get("content-length")
        upload = Upload(file=file, receive=exchange.receive, declared_length=declared, digest=digest)
        return await receive_file(self._transfers, caller, upload)

    async def _read(self, signed: _Signed, receive: Receive, place: Place) -> tuple[OperationRequest, str]:
        """The proven request and its body's digest."""
        declared = signed.head.headers.get("content-length")
        limit = signed.matched.operation.body_limit_bytes
        body = await self._bodies.read_hashed(receive, place, declared_length=declared, limit_bytes=limit)
        return await _off_loop_if(len(body.data) > LARGE_BYTES, lambda: signed.prove_and_parse(body)), body.digest

    async def _invoke(self, caller: Caller, request: Invoke, delivery: Delivery, exchange: _Exchange) -> Response:
        exchange.record.tool = request.tool
        with ClientWatch(exchange.receive):
            result = await self._service.invoke(caller, request, delivery)
        exchange.record.is_error = result.is_error
        body = await _off_loop_if(tool_results.size(result) > LARGE_BYTES, lambda: eventstream.result_event(result))
        return Response(200, encoding.stream_headers(request.session_id, result, exchange.record.request_id), body)

    async def _invoke_followed(self, caller: Caller, request: Invoke, delivery: Delivery, exchange: _Exchange) -> None:
        """As `_invoke`, with an event for each piece of output before the event of the whole result."""
        exchange.record.tool = request.tool
        follower = OutputFollower()
        work = self._service.invoke(caller, request, dataclasses.replace(delivery, follower=follower))
        async with exchange.streamed() as answer:
            await send_followed(work, follower, answer, exchange.record)


def _refusal(error: CellblockError, exchange: _Exchange) -> Response:
    exchange.record.error = error.code
    if error.status >= 500 or error.public_message:  # the client is not told the cause
        _log.error("service fault", request_id=exchange.record.request_id, reason=error.message)
    return encoding.error(error, exchange.record.request_id)


def _client(scope: Scope) -> str:
    """The address that the connection comes from; a proxy's own when there is one between."""
    client = scope.get("client")
    return str(client[0]) if client else "unix"


def _named(request: OperationRequest) -> tuple[str, str]:
    """The interpreter and the session that a request names."""
    return getattr(request, "interpreter_id", ""), getattr(request, "session_id", "")


async def _off_loop_if(is_large: bool, work: Callable[[], ResultT]) -> ResultT:
    return await asyncio.to_thread(work) if is_large else work()


async def _send(send: Send, response: Response) -> None:
    headers = [(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in response.headers.items()]
    headers.append((b"Content-Length", str(len(response.body)).encode("ascii")))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
