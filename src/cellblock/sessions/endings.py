"""Ends of sessions on their way to the store: those that it cannot take at once are told to it when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from cellblock.errors import StoreUnavailable
from cellblock.machine.clock import Clock
from cellblock.store.protocol import Store

RETRY_SECONDS = 1.0

_log = structlog.get_logger("cellblock.sessions")
_Telling = Callable[[], Coroutine[Any, Any, object]]


class Endings:
    """A session ends whether or not its row can be written. What is left when the server stops, the next start's sweep ends."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: dict[str, _Telling] = {}
        self._turn = asyncio.Lock()  # guards the first try: of many ends at once, one finds out that the database is away
        self._task: asyncio.Task[None] | None = None

    async def end(self, session_id: str, reason: str) -> None:
        """READY to TERMINATED, now or later."""
        await self._tell(session_id, lambda: self._store.end_session(session_id, reason))

    async def discard(self, session_id: str) -> None:
        """Undo the creation of a session, now or later."""
        await self._tell(session_id, lambda: self._store.discard_session(session_id))

    async def close(self) -> None:
        """Try what waits once more, and no further."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._tell_waiting()

    async def _tell(self, session_id: str, telling: _Telling) -> None:
        if self._waiting or not await self._is_told(session_id, telling):
            self._waiting[session_id] = telling
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._tell_later(), name="tell ends of sessions")

    async def _is_told(self, session_id: str, telling: _Telling) -> bool:
        async with self._turn:
            if self._waiting:
                return False
            try:
                await telling()
            except StoreUnavailable as error:
                _log.error("ends of sessions are not written yet", session=session_id, reason=error.message)
                self._waiting[session_id] = telling
                return False
            return True

    async def _tell_later(self) -> None:
        while self._waiting:
            await self._clock.wait(asyncio.Event(), self._clock.now() + RETRY_SECONDS)
            await self._tell_waiting()

    async def _tell_waiting(self) -> None:
        for session_id, telling in list(self._waiting.items()):
            try:
                await telling()
            except StoreUnavailable:
                return
            del self._waiting[session_id]
