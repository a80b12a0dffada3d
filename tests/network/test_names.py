"""Questions to name servers that never answer hold up the session that asks them and no other."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cellblock.sandbox.proxy import reach
from cellblock.sandbox.proxy.reach import QUESTIONS, Names, Refused

THREADS = 2 * QUESTIONS
SECONDS = 20
ANSWER = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]


class Servers:
    """Name servers of which those of "silent" answer when they are let."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.asked = threading.Semaphore(0)

    def getaddrinfo(self, name: str, *_arguments: object, **_named: object) -> list[object]:
        """In place of socket's."""
        if name == "silent":
            self.asked.release()
            self.may_answer.wait(SECONDS)
        return [*ANSWER]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Servers:
    """Asked by everything in this process."""
    made = Servers()
    monkeypatch.setattr(socket, "getaddrinfo", made.getaddrinfo)
    return made


async def quick_answer_beside_silent_ones(servers: Servers, *, waiting: int) -> bool:
    """Whether another session's name is resolved while one session waits for so many answers."""
    executor = ThreadPoolExecutor(THREADS)
    asyncio.get_running_loop().set_default_executor(executor)
    hostile, other = Names(), Names()
    asking = [asyncio.ensure_future(hostile.resolve("silent", 80)) for _ in range(THREADS)]
    try:
        for _ in range(waiting):
            assert await asyncio.wait_for(asyncio.shield(_asked(servers)), SECONDS)
        answering = asyncio.ensure_future(other.resolve("quick", 80))
        done, _ = await asyncio.wait({answering}, timeout=1)
        return bool(done)
    finally:
        servers.may_answer.set()
        await asyncio.gather(*asking, answering)


async def _asked(servers: Servers) -> bool:
    while not servers.asked.acquire(blocking=False):  # noqa: ASYNC110, another thread tells
        await asyncio.sleep(0)
    return True


async def test_without_a_bound_one_session_would_take_every_thread(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "QUESTIONS", THREADS)
    assert not await quick_answer_beside_silent_ones(servers, waiting=THREADS)


async def test_questions_of_one_session_leave_threads_to_the_others(servers: Servers) -> None:
    assert await quick_answer_beside_silent_ones(servers, waiting=QUESTIONS)


async def test_a_question_that_is_given_up_keeps_its_place_until_its_thread_is_free(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "_RESOLVE_SECONDS", 0.1)
    names = Names()
    for _ in range(2):
        told = await asyncio.gather(*(names.resolve("silent", 80) for _ in range(QUESTIONS)), return_exceptions=True)
        assert {type(error) for error in told} == {Refused}
    assert sum(servers.asked.acquire(blocking=False) for _ in range(THREADS)) == QUESTIONS
    servers.may_answer.set()
