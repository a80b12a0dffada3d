"""The nine operations as plain methods: rights, quotas, idempotency; no HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cellblock.errors import FieldProblem, Internal, SessionNotActive, ValidationFailed
from cellblock.grants.grantor import Grantor
from cellblock.machine.clock import Clock
from cellblock.model.calls import Cell, Follower
from cellblock.model.requests import (
    CreateInterpreter,
    DeleteInterpreter,
    FileInSession,
    GetInterpreter,
    GetSession,
    Invoke,
    ListInterpreters,
    ListSessions,
    StartSession,
    StopSession,
)
from cellblock.model.resources import (
    BUILT_IN_INTERPRETER_ID,
    AccessKey,
    Claim,
    ClaimedOperation,
    Interpreter,
    Page,
    PageRequest,
    Session,
    SessionKey,
    interpreter_arn,
    make_claim,
    new_interpreter_id,
    new_session_id,
    now,
)
from cellblock.model.results import ToolResult
from cellblock.model.usage import CallFacts, Owner
from cellblock.service import tool_results, tools
from cellblock.service.access import require
from cellblock.service.attempts import ONLY, Attempt
from cellblock.service.following import FollowedCell
from cellblock.service.repeats import CallInterrupted, CallKey, Repeats
from cellblock.service.shared_throttle import admission
from cellblock.sessions.interpreter_limits import kept_limits, limits_of
from cellblock.sessions.live import STOPPED, LiveSession, LiveSessions
from cellblock.settings.table import Settings
from cellblock.store.protocol import ClusterStore
from cellblock.wire.operations import OperationName

CLIENT_PATIENCE_SECONDS = 300.0  # how long the SDK's client reads before it gives up
LAST_ANSWER_SECONDS = 294.0  # an interruption takes some of what is left
LAST_RUN_SECONDS = 291.0
LEAST_RUN_SECONDS = 0.1
NO_ANSWER_NOTE = "it had no turn: calls of one language run one after the other"
ONLY_LOOK = frozenset({"readFiles", "listFiles", "getTask"})  # may be done again, so that no file's megabytes are kept for a retry
INTERRUPTED = "The call was interrupted because its client went away; a repeated request does not run it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, from where; the key is proven."""

    key: AccessKey
    region: str
    request_id: str
    attempt: Attempt = ONLY

    @property
    def account(self) -> str:
        """The account whose things it sees."""
        return self.key.account


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How an Invoke came: when by the service's clock, its body's digest, and how long after a lost connection it may come again."""

    arrived_at: float
    body_digest: str
    retry_seconds: float
    follower: Follower | None = None  # reads what the run prints while it runs


class Service:
    """The operations. What it is given belongs to the caller, who closes it."""

    def __init__(
        self, *, store: ClusterStore, live: LiveSessions, settings: Settings, clock: Clock, node_id: str | None = None
    ) -> None:  # fmt: skip
        self._store = store
        self._live = live
        self._settings = settings
        self._node_id = node_id
        self._grantor = Grantor(settings)
        self._clock = clock
        self._repeats: Repeats[ToolResult] = Repeats(clock, tool_results.size)
        self._admission = admission(settings, store, clock)

    async def close(self) -> None:
        """Interrupt the calls that nobody waits for any more."""
        await self._repeats.close()

    async def create_interpreter(self, caller: Caller, request: CreateInterpreter) -> Interpreter:
        """Make an interpreter of the caller's account."""
        await self._admit(caller, "CreateCodeInterpreter", "*")
        limits_of(request.tags or {}, self._settings)
        time = now()
        interpreter = Interpreter(
            id=new_interpreter_id(request.name),
            name=request.name,
            account=caller.account,
            network_mode=request.network_mode,
            created_at=time,
            updated_at=time,
            description=request.description,
            role_arn=request.role_arn,
            network_configuration=request.network_configuration,
            certificates=request.certificates or (),
            filesystems=request.filesystems or (),
            tags=request.tags or {},
        )
        await self._grantor.check(interpreter)
        claim = _claim(caller, "CreateCodeInterpreter", request)
        return await self._store.create_interpreter(interpreter, max_kept=self._settings.max_interpreters, claim=claim)

    async def get_interpreter(self, caller: Caller, request: GetInterpreter) -> Interpreter:
        """One interpreter of the account, or the built-in one."""
        await self._admit(caller, "GetCodeInterpreter", request.interpreter_id)
        return await self._store.get_interpreter(caller.account, request.interpreter_id)

    async def list_interpreters(self, caller: Caller, request: ListInterpreters) -> Page[Interpreter]:
        """The account's interpreters and the built-in one."""
        await self._admit(caller, "ListCodeInterpreters", "*")
        return await self._store.list_interpreters(caller.account, _page(request), kind=request.kind)

    async def delete_interpreter(self, caller: Caller, request: DeleteInterpreter) -> Interpreter:
        """Delete an interpreter without live sessions."""
        await self._admit(caller, "DeleteCodeInterpreter", request.interpreter_id)
        claim = _claim(caller, "DeleteCodeInterpreter", request)
        return await self._store.delete_interpreter(caller.account, request.interpreter_id, claim=claim)

    async def start_session(self, caller: Caller, request: StartSession) -> Session:
        """Start a session; the one of before when the client token came before."""
        await self._admit(caller, "StartCodeInterpreterSession", request.interpreter_id)
        self._live.refuse_when_draining()
        session = self._new_session(caller, request)
        claim = _claim(caller, "StartCodeInterpreterSession", request)
        await self._grantor.for_session(session, None)  # what is wrong with the request itself is told before anything is kept
        with self._live.opening(session.id):
            try:
                kept = await self._store.create_session(session, max_live=self._settings.max_sessions, claim=claim)
                if kept.id == session.id:
                    await self._open(caller, kept, wanted_as=request.client_token)
            except BaseException:
                await asyncio.shield(self._live.discard_record(session.id))
                raise
        return kept

    async def stop_session(self, caller: Caller, request: StopSession) -> Session:
        """End a session and wait until nothing of it is left."""
        await self._admit(caller, "StopCodeInterpreterSession", request.interpreter_id)
        claim = _claim(caller, "StopCodeInterpreterSession", request)
        stopped = await self._store.stop_session(_session_key(caller, request), STOPPED, claim=claim)
        await self._live.close_stopped(stopped.id)
        return stopped

    async def get_session(self, caller: Caller, request: GetSession) -> Session:
        """A session, ended or not."""
        await self._admit(caller, "GetCodeInterpreterSession", request.interpreter_id)
        stored = await self._store.get_session(_session_key(caller, request))
        live = self._live.find(stored.id)
        return live.as_known(stored) if live else stored

    async def list_sessions(self, caller: Caller, request: ListSessions) -> Page[Session]:
        """Sessions of an interpreter."""
        await self._admit(caller, "ListCodeInterpreterSessions", request.interpreter_id)
        return await self._store.list_sessions(caller.account, request.interpreter_id, _page(request), state=request.status)

    async def invoke(self, caller: Caller, request: Invoke, delivery: Delivery) -> ToolResult:
        """Use a tool in a session; a request that comes again gets the first one's result. Cancelling it interrupts the run."""
        await self._admit(caller, "InvokeCodeInterpreter", request.interpreter_id)
        if request.invocation_id is None or request.tool in ONLY_LOOK:
            return await self._run(caller, request, delivery)
        key = CallKey(
            access_key_id=caller.key.id,
            session_id=request.session_id,
            invocation_id=request.invocation_id,
            body_digest=delivery.body_digest,
        )
        try:
            return await self._repeats.once(key, lambda: self._run(caller, request, delivery), retry_seconds=delivery.retry_seconds)
        except CallInterrupted:
            return tool_results.failure(INTERRUPTED)

    async def _admit(self, caller: Caller, operation: OperationName, interpreter_id: str) -> None:
        """Raises AccessDenied and Throttled."""
        arn = interpreter_arn(interpreter_id, region=caller.region, account=caller.account)
        require(caller.key, operation=operation, resource_arn=arn)
        await self._admission.admit(caller.account, operation, urgency=caller.attempt.urgency)

    @asynccontextmanager
    async def use_session(self, caller: Caller, request: FileInSession) -> AsyncIterator[Cell]:
        """The session's cell for one transfer, for whoever may invoke tools there. Raises CellblockError."""
        await self._admit(caller, "InvokeCodeInterpreter", request.interpreter_id)
        session = await self._find(caller, request)
        if session is None:
            raise await self._why_not_live(caller, request)
        async with self._live.use(session, _facts(caller, "transfer")) as cell:
            yield cell

    async def _run(self, caller: Caller, request: Invoke, delivery: Delivery) -> ToolResult:
        session = await self._find(caller, request)
        if session is None:
            raise await self._why_not_live(caller, request)
        seconds = self._run_seconds(session, delivery)
        async with self._live.use(session, _facts(caller, request.tool)) as cell:
            try:
                async with asyncio.timeout(self._answer_seconds(delivery)):
                    limits = tools.limits(self._settings, seconds=seconds)
                    callee = cell if delivery.follower is None else FollowedCell(cell, delivery.follower)
                    return await tools.use(request.tool, request.arguments, cell=callee, limits=limits)
            except TimeoutError:
                return tool_results.timed_out(seconds, NO_ANSWER_NOTE)

    async def _find(self, caller: Caller, request: Invoke | FileInSession) -> LiveSession | None:
        session = self._live.find(request.session_id) or await self._live.find_soon(request.session_id)
        return session if session is not None and _is_named(session.record, caller, request) else None

    async def _why_not_live(self, caller: Caller, request: Invoke | FileInSession) -> Exception:
        """Raises SessionNotFound for a session that never was; else the error for one that is over or not yet there."""
        session = await self._store.get_session(_session_key(caller, request))
        if session.state == "TERMINATED":
            return SessionNotActive(session.id, end_reason=session.end_reason or "ended", ended_at=session.ended_at)
        return Internal(f"session {session.id} is not running here; if it has just been started, try again")

    def _run_seconds(self, session: LiveSession, delivery: Delivery) -> float:
        """What the run may take: the setting, the session's rest, and early enough for a client that reads no longer."""
        limit = float(self._settings.call_timeout_seconds)
        if limit <= CLIENT_PATIENCE_SECONDS:
            limit = min(limit, LAST_RUN_SECONDS - (self._clock.now() - delivery.arrived_at))
        return max(LEAST_RUN_SECONDS, min(limit, self._live.seconds_left(session)))

    def _answer_seconds(self, delivery: Delivery) -> float | None:
        """What the call may take with the wait for its turn; None when the operator allows more than clients wait for."""
        if self._settings.call_timeout_seconds > CLIENT_PATIENCE_SECONDS:
            return None
        return max(LEAST_RUN_SECONDS, LAST_ANSWER_SECONDS - (self._clock.now() - delivery.arrived_at))

    async def _open(self, caller: Caller, session: Session, *, wanted_as: str | None) -> None:
        """A cell with the limits and the grants of the session's interpreter."""
        if session.interpreter_id == BUILT_IN_INTERPRETER_ID:
            limits, interpreter = kept_limits({}, self._settings), None
        else:
            interpreter = await self._store.get_interpreter(caller.account, session.interpreter_id)
            limits = dataclasses.replace(kept_limits(interpreter.tags, self._settings), network=self._grantor.network(interpreter))
        owner = Owner(
            session_id=session.id,
            account=session.account,
            interpreter_id=session.interpreter_id,
            key_id=caller.key.id,
            region=caller.region,
        )
        grants = await self._grantor.for_session(session, interpreter)
        await self._live.open(session, limits, owner=owner, grants=grants, wanted_as=wanted_as)

    def _new_session(self, caller: Caller, request: StartSession) -> Session:
        seconds = request.timeout_seconds or self._settings.session_timeout_seconds
        if seconds > self._settings.max_session_timeout_seconds:
            limit = self._settings.max_session_timeout_seconds
            problem = f"is {seconds} and {limit} is the most (setting CELLBLOCK_MAX_SESSION_TIMEOUT_SECONDS)"
            raise ValidationFailed(f"sessionTimeoutSeconds {problem}", fields=(FieldProblem("sessionTimeoutSeconds", problem),))
        time = now()
        return Session(
            id=new_session_id(self._node_id),
            interpreter_id=request.interpreter_id,
            account=caller.account,
            node=self._node_id,
            timeout_seconds=seconds,
            created_at=time,
            updated_at=time,
            name=request.name,
            description=request.description,
            certificates=request.certificates or (),
            filesystems=request.filesystems or (),
        )


def _facts(caller: Caller, tool: str) -> CallFacts:
    return CallFacts(request_id=caller.request_id, key_id=caller.key.id, tool=tool)


def _session_key(caller: Caller, request: StopSession | GetSession | Invoke | FileInSession) -> SessionKey:
    return SessionKey(account=caller.account, interpreter_id=request.interpreter_id, session_id=request.session_id)


def _is_named(session: Session, caller: Caller, request: Invoke | FileInSession) -> bool:
    return session.account == caller.account and session.interpreter_id == request.interpreter_id


def _page(request: ListInterpreters | ListSessions) -> PageRequest:
    if request.max_results is None:
        return PageRequest(next_token=request.next_token)
    return PageRequest(max_results=request.max_results, next_token=request.next_token)


def _claim(
    caller: Caller, operation: ClaimedOperation, request: CreateInterpreter | DeleteInterpreter | StartSession | StopSession
) -> Claim | None:
    if request.client_token is None:
        return None
    parameters: Mapping[str, object] = {
        name: value for name, value in dataclasses.asdict(request).items() if name not in ("client_token", "trace")
    }
    return make_claim(account=caller.account, operation=operation, token=request.client_token, parameters=parameters)
