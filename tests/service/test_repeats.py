"""Repeated calls: what is kept, for how long, and how much of it."""

from __future__ import annotations

import asyncio
import weakref

import pytest

from cellblock.service.repeats import KEPT_BYTES, KEPT_SECONDS, CallInterrupted, CallKey, Repeats
from service.fake_clock import FakeClock


class Result(str):
    """One that can be watched."""


class Work:
    """Counts its runs."""

    def __init__(self, result: str = "done") -> None:
        self.result = result
        self.runs = 0
        self.open = asyncio.Event()
        self.open.set()

    async def run(self) -> str:
        self.runs += 1
        await self.open.wait()
        return self.result

    async def fail(self) -> str:
        self.runs += 1
        raise ValueError("for the test")


def key(number: int) -> CallKey:
    return CallKey(access_key_id="k", session_id="s", invocation_id=str(number), body_digest="d")


async def test_results_are_forgotten_oldest_first_at_the_memory_bound() -> None:
    repeats = Repeats(FakeClock(), len)
    first, second = Work("a" * (KEPT_BYTES // 2)), Work("b" * (KEPT_BYTES // 2))
    await repeats.once(key(1), first.run, retry_seconds=0)
    await repeats.once(key(2), second.run, retry_seconds=0)
    await repeats.once(key(2), second.run, retry_seconds=0)
    await repeats.once(key(1), first.run, retry_seconds=0)
    assert (first.runs, second.runs) == (2, 1)


async def test_call_that_raised_may_be_tried_again() -> None:
    repeats, work = Repeats(FakeClock(), len), Work()
    for _ in range(2):
        with pytest.raises(ValueError, match="for the test"):
            await repeats.once(key(1), work.fail, retry_seconds=0)
    assert work.runs == 2


async def test_one_of_two_waiting_clients_may_leave() -> None:
    repeats, work = Repeats(FakeClock(), len), Work()
    work.open.clear()
    waiting = [asyncio.create_task(repeats.once(key(1), work.run, retry_seconds=0)) for _ in range(2)]
    await asyncio.wait(waiting, timeout=0)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    work.open.set()
    assert await waiting[1] == "done"
    assert work.runs == 1


async def test_interrupted_call_is_not_run_again() -> None:
    repeats, work = Repeats(FakeClock(), len), Work()
    work.open.clear()
    waiting = asyncio.create_task(repeats.once(key(1), work.run, retry_seconds=0))
    await asyncio.wait([waiting], timeout=0)
    waiting.cancel()
    await asyncio.wait([waiting])
    with pytest.raises(CallInterrupted):
        await repeats.once(key(1), work.run, retry_seconds=0)
    assert work.runs == 1


async def test_close_interrupts_what_runs() -> None:
    repeats, work = Repeats(FakeClock(), len), Work()
    work.open.clear()
    waiting = asyncio.create_task(repeats.once(key(1), work.run, retry_seconds=0))
    await asyncio.wait([waiting], timeout=0)
    await repeats.close()
    with pytest.raises(CallInterrupted):
        await waiting


async def test_result_is_let_go_of_after_its_minute_though_nobody_calls() -> None:
    clock, results = FakeClock(), []
    repeats = Repeats(clock, len)

    async def make() -> str:
        results.append(weakref.ref(made := Result("done")))
        return made

    await repeats.once(key(1), make, retry_seconds=0)
    await asyncio.sleep(0)  # the wait begins
    clock.advance(KEPT_SECONDS + 1)
    for _ in range(10):
        await asyncio.sleep(0)
    assert results[0]() is None
    await repeats.close()
