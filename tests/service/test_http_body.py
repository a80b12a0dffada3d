"""Bodies that come slowly: how far they may lag behind before their place is given to another."""

from __future__ import annotations

import asyncio
import mmap
import random
from collections.abc import MutableMapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from cellblock.errors import ValidationFailed
from cellblock.http import body
from cellblock.http.body import LARGE_BYTES, LEAST_BYTES_A_SECOND, Bodies, Body
from cellblock.http.exchange import ClientGone, Receive
from cellblock.machine.clock import MonotonicClock

PATIENCE_SECONDS = 0.3
PAUSE_SECONDS = 0.02
LIMIT_BYTES = 100 * LARGE_BYTES


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "READ_SECONDS", PATIENCE_SECONDS)


async def pause(seconds: float) -> None:
    clock = MonotonicClock()
    await clock.wait(asyncio.Event(), clock.now() + seconds)


def client(piece: bytes, count: int) -> Receive:
    """A body that comes piece by piece with pauses."""
    left = iter(range(count - 1, -1, -1))

    async def receive() -> MutableMapping[str, Any]:
        await pause(PAUSE_SECONDS)
        return {"type": "http.request", "body": piece, "more_body": next(left) > 0}

    return receive


async def read(bodies: Bodies, receive: Receive) -> bytes | memoryview:
    with bodies.place() as place:
        return (await bodies.read_hashed(receive, place, declared_length=str(LIMIT_BYTES), limit_bytes=LIMIT_BYTES)).data


async def test_body_that_dribbles_is_refused_though_it_never_stops() -> None:
    with pytest.raises(ValidationFailed, match=f"at {LEAST_BYTES_A_SECOND} bytes a second"):
        await read(Bodies(1), client(b"x", 10_000))


async def test_body_that_comes_fast_enough_may_take_its_time() -> None:
    piece, count = bytes(LARGE_BYTES // 4), 4 * int(PATIENCE_SECONDS / PAUSE_SECONDS)
    assert len(await read(Bodies(1), client(piece, count))) == count * len(piece)


async def test_place_of_a_body_that_dribbles_is_given_to_the_next_and_the_wait_is_not_held_against_it() -> None:
    bodies = Bodies(1)
    slow = asyncio.create_task(read(bodies, client(b"x", 10_000)))
    await pause(2 * PAUSE_SECONDS)  # it has its place
    next_one = asyncio.create_task(read(bodies, client(bytes(LARGE_BYTES), 2)))
    assert len(await next_one) == 2 * LARGE_BYTES
    assert isinstance(slow.exception(), ValidationFailed)


async def test_large_body_is_hashed_as_it_comes() -> None:
    content = random.Random(5).randbytes(3 * LARGE_BYTES + 17)
    pieces = [content[start : start + 100_000] for start in range(0, len(content), 100_000)]
    for declared in (str(len(content)), None):
        found = await read_hashed(pieces, declared)
        assert bytes(found.data) == content
        assert found.digest == sha256(content).hexdigest()


async def test_body_that_is_only_declared_has_no_memory() -> None:
    """Where the kernel promises no more memory than it has (vm.overcommit_memory=2), room for many such would be all of it."""
    before, bodies, is_over = mapped_bytes(), Bodies(2), asyncio.Event()

    async def receive() -> MutableMapping[str, Any]:
        await is_over.wait()
        return {"type": "http.disconnect"}

    reading = [asyncio.create_task(read(bodies, receive)) for _ in range(20)]
    await pause(PAUSE_SECONDS)  # each has begun
    grown = mapped_bytes() - before
    is_over.set()
    found = await asyncio.gather(*reading, return_exceptions=True)
    assert {type(one) for one in found} == {ClientGone}
    assert grown < LIMIT_BYTES


def mapped_bytes() -> int:
    """Of this process's address space (proc_pid_statm(5))."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE


async def test_body_that_is_declared_and_never_comes_is_empty() -> None:
    found = await read_hashed([b""], str(LARGE_BYTES + 1))
    assert (bytes(found.data), found.digest) == (b"", sha256().hexdigest())


async def test_body_longer_than_declared_is_refused() -> None:
    with pytest.raises(ValidationFailed, match="longer than its Content-Length"):
        await read_hashed([bytes(LARGE_BYTES), bytes(2)], str(LARGE_BYTES + 1))


async def read_hashed(pieces: list[bytes], declared: str | None) -> Body:
    left = list(pieces)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    bodies = Bodies(1)
    with bodies.place() as place:
        return await bodies.read_hashed(receive, place, declared_length=declared, limit_bytes=LIMIT_BYTES)
