"""The one code session that a client's connection has, started at its first tool call and ended with it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import dataclass

from cellblock.errors import CellblockError, SessionNotActive
from cellblock.machine.clock import Clock
from cellblock.mcp.told import Told
from cellblock.model.calls import Follower
from cellblock.model.requests import Invoke, StartSession, StopSession, ToolArguments, ToolName
from cellblock.model.results import ToolResult
from cellblock.service.operations import Caller, Delivery

SESSION_NAME = "mcp"


class SessionLost(Exception):
    """The session ended before its connection; what it held is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKind:
    """Of which interpreter the session is, and how long it may live."""

    interpreter_id: str
    timeout_seconds: int


class Conversation:
    """Uses tools in a session of its own; `caller` is who asked last, so that a changed policy holds from then on."""

    def __init__(self, service: Told, clock: Clock, kind: SessionKind, caller: Caller) -> None:
        self.caller = caller
        self._service = service
        self._clock = clock
        self._kind = kind
        self._session: asyncio.Task[str] | None = None
        self._numbers = itertools.count(1)

    def next_number(self) -> int:
        """A number for the files that a call leaves."""
        return next(self._numbers)

    async def use(self, tool: ToolName, arguments: ToolArguments, *, follower: Follower | None = None) -> ToolResult:
        """One call, whose output may have a reader. Raises SessionLost, and what the service raises. Cancelling it interrupts the run."""
        session = self._started()
        session_id = await asyncio.shield(session)  # a start that nobody waits for would leave a session behind
        request = Invoke(interpreter_id=self._kind.interpreter_id, session_id=session_id, tool=tool, arguments=arguments)
        delivery = Delivery(arrived_at=self._clock.now(), body_digest="", retry_seconds=0.0, follower=follower)
        try:
            return await self._service.invoke(self.caller, request, delivery)
        except SessionNotActive as error:
            if self._session is session:
                self._session = None
            raise SessionLost(error.message) from error

    async def close(self) -> None:
        """End the session, if there is one."""
        if self._session is None:
            return
        with contextlib.suppress(CellblockError):  # it never began, it is over, or the key may no longer end it
            named = await self._session
            await self._service.stop_session(self.caller, StopSession(interpreter_id=self._kind.interpreter_id, session_id=named))

    def _started(self) -> asyncio.Task[str]:
        """The session's start, under way or over; one that failed is tried again."""
        if self._session is None or (self._session.done() and (self._session.cancelled() or self._session.exception() is not None)):
            self._session = asyncio.create_task(self._start(), name="start an MCP connection's session")
        return self._session

    async def _start(self) -> str:
        request = StartSession(interpreter_id=self._kind.interpreter_id, name=SESSION_NAME, timeout_seconds=self._kind.timeout_seconds)
        return (await self._service.start_session(self.caller, request)).id
