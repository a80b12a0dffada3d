"""Recognises a call that a client sends again, so that a retry never runs code twice."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from cellblock.machine.clock import Clock

KEPT_SECONDS = 60.0
KEPT_BYTES = 64 * 1024 * 1024
ENTRY_BYTES = 1024  # about what an entry costs beside its result

ResultT = TypeVar("ResultT")


class CallInterrupted(Exception):
    """The call was cancelled because nobody waited for it; it is not run again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallKey:
    """What makes two requests one call."""

    access_key_id: str
    session_id: str
    invocation_id: str
    body_digest: str


@dataclass(slots=True, eq=False)
class _Running(Generic[ResultT]):
    task: asyncio.Task[ResultT]
    waiters: set[asyncio.Future[ResultT]] = field(default_factory=set)


@dataclass(frozen=True, slots=True, eq=False)
class _Kept(Generic[ResultT]):
    result: ResultT | None  # None for a call that was interrupted
    size: int
    until: float


class Repeats(Generic[ResultT]):
    """The calls that run, and for a minute the results of those that ended."""

    def __init__(self, clock: Clock, size_of: Callable[[ResultT], int]) -> None:
        self._clock = clock
        self._size_of = size_of
        self._running: dict[CallKey, _Running[ResultT]] = {}
        self._kept: OrderedDict[CallKey, _Kept[ResultT]] = OrderedDict()  # in the order of their ends
        self._kept_bytes = 0
        self._leaving: set[asyncio.Task[None]] = set()
        self._forgetting: asyncio.Task[None] | None = None

    async def once(self, key: CallKey, start: Callable[[], Coroutine[Any, Any, ResultT]], *, retry_seconds: float) -> ResultT:
        """The call's result, run by this request or an earlier one.

        When the last client that waits goes away, the call is interrupted after `retry_seconds`, unless it came again.
        Raises CallInterrupted when that happened before, and what the call raises; a call that raised may be tried again.
        """
        self._forget_old()
        if kept := self._kept.get(key):
            return self._again(kept)
        running = self._running.get(key) or self._start(key, start)
        waiter: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        running.waiters.add(waiter)
        try:
            return await waiter
        finally:
            running.waiters.discard(waiter)
            if not running.waiters and not running.task.done():
                self._leave(running, retry_seconds)

    async def close(self) -> None:
        """Interrupt what still runs."""
        forgetting = () if self._forgetting is None else (self._forgetting,)
        tasks = [*forgetting, *self._leaving, *(running.task for running in self._running.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, key: CallKey, start: Callable[[], Coroutine[Any, Any, ResultT]]) -> _Running[ResultT]:
        task = asyncio.create_task(self._run(key, start), name=f"call in {key.session_id}")
        task.add_done_callback(lambda task: self._ended(key, task))
        running = self._running[key] = _Running(task)
        return running

    def _again(self, kept: _Kept[ResultT]) -> ResultT:
        if kept.result is None:
            raise CallInterrupted
        return kept.result

    def _leave(self, running: _Running[ResultT], retry_seconds: float) -> None:
        leaving = asyncio.create_task(self._interrupt_when_left(running, retry_seconds), name="interrupt a call nobody waits for")
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _interrupt_when_left(self, running: _Running[ResultT], retry_seconds: float) -> None:
        if retry_seconds > 0:
            is_done = asyncio.Event()
            running.task.add_done_callback(lambda _: is_done.set())
            await self._clock.wait(is_done, self._clock.now() + retry_seconds)
        if not running.waiters:
            running.task.cancel()

    async def _run(self, key: CallKey, start: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
        """Tells those who wait itself: they would hear of the task's end a turn of the event loop later."""
        result = await start()
        waiters = self._running.pop(key).waiters
        self._keep(key, result)
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(result)
        return result

    def _ended(self, key: CallKey, task: asyncio.Task[ResultT]) -> None:
        """A call without a result: it was interrupted, maybe before it began, or it raised."""
        if not task.cancelled() and task.exception() is None:
            return
        if task.cancelled():
            self._keep(key, None)
        error = CallInterrupted() if task.cancelled() else task.exception()
        for waiter in self._running.pop(key).waiters:
            if error is not None and not waiter.done():
                waiter.set_exception(error)
                waiter.exception()  # looked at: whoever waited may be canceled before he sees it

    def _keep(self, key: CallKey, result: ResultT | None) -> None:
        size = ENTRY_BYTES + (0 if result is None else self._size_of(result))
        self._kept[key] = _Kept(result, size, self._clock.now() + KEPT_SECONDS)
        self._kept_bytes += size
        self._forget_old()
        if self._forgetting is None or self._forgetting.done():
            self._forgetting = asyncio.create_task(self._forget_in_time(), name="forget results")

    async def _forget_in_time(self) -> None:
        """A server that nobody calls keeps no results."""
        while self._kept:
            oldest = next(iter(self._kept.values()))
            await self._clock.wait(asyncio.Event(), oldest.until)
            self._forget_old()

    def _forget_old(self) -> None:
        now = self._clock.now()
        while self._kept:
            key, kept = next(iter(self._kept.items()))
            if kept.until > now and self._kept_bytes <= KEPT_BYTES:
                return
            del self._kept[key]
            self._kept_bytes -= kept.size
