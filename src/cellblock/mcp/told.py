"""The operations that MCP clients cause, told to those that count, log and trace as those of other clients are."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import TypeVar

from cellblock.errors import CellblockError
from cellblock.model.happenings import Observer, RequestRecord
from cellblock.model.requests import Invoke, StartSession, StopSession
from cellblock.model.resources import Session
from cellblock.model.results import ToolResult
from cellblock.service.operations import Caller, Delivery, Service

ResultT = TypeVar("ResultT")
INTERRUPTED_STATUS = 499


class Told:
    """A service whose calls are told, with the address that they come from."""

    def __init__(self, service: Service, observer: Observer, *, client: str) -> None:
        self._client = client
        self._service = service
        self._observer = observer

    async def start_session(self, caller: Caller, request: StartSession) -> Session:
        """Start a session."""
        record = self._record("StartCodeInterpreterSession", caller, request.interpreter_id)
        return await self._telling(record, self._service.start_session(caller, request))

    async def stop_session(self, caller: Caller, request: StopSession) -> Session:
        """Stop one."""
        record = self._record("StopCodeInterpreterSession", caller, request.interpreter_id, request.session_id)
        return await self._telling(record, self._service.stop_session(caller, request))

    async def invoke(self, caller: Caller, request: Invoke, delivery: Delivery) -> ToolResult:
        """Use a tool."""
        record = self._record("InvokeCodeInterpreter", caller, request.interpreter_id, request.session_id)
        record.tool = request.tool
        return await self._telling(record, self._service.invoke(caller, request, delivery))

    async def _telling(self, record: RequestRecord, work: Awaitable[ResultT]) -> ResultT:
        started = time.perf_counter()
        record.status, record.error = INTERRUPTED_STATUS, "ClientGone"
        try:
            result = await work
            record.status, record.error = 200, ""
            if isinstance(result, ToolResult):
                record.is_error = result.is_error
            if isinstance(result, Session):
                record.session_id = result.id
        except CellblockError as error:
            record.status, record.error = error.status, error.code
            raise
        else:
            return result
        finally:
            record.seconds = time.perf_counter() - started
            self._observer.request_done(record)

    def _record(self, operation: str, caller: Caller, interpreter_id: str, session_id: str = "") -> RequestRecord:
        """A record of a caller whom a token has proven."""
        return RequestRecord(
            client=self._client,
            started_ns=time.time_ns(),
            request_id=caller.request_id,
            operation=operation,
            key=caller.key,
            is_proven=True,
            region=caller.region,
            interpreter_id=interpreter_id,
            session_id=session_id,
        )
