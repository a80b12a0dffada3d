"""Files as streams over the link: a forged agent ends its own cell only, and a source that fails cancels its upload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cellblock.errors import CellEnded
from cellblock.model.calls import FilesWritten, ReadStream, ToolFailed, WriteStream
from cellblock.nodes.download import WINDOW_BYTES, Incoming
from cellblock.nodes.link import CellLink
from cellblock_cell.link import Kind, Meta
from forged_agent import ForgedAgent, linked

SECONDS = 10
FIRST = 1  # the number of a link's first call
READ = ReadStream("a")


async def read(link: CellLink) -> bytes:
    async with link.download(READ) as download:
        return b"".join([piece async for piece in download.pieces()])


async def source(*pieces: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    if error:
        raise error


async def test_file_is_asked_for_a_window_at_a_time() -> None:
    async with asyncio.timeout(SECONDS), linked() as (link, agent):
        reading = asyncio.create_task(read(link))
        await agent.hear(Kind.CALL)
        await agent.say(Kind.DATA, FIRST, {"size": 10})
        assert (await agent.hear(Kind.DATA)).meta == {"more": WINDOW_BYTES}
        await agent.say(Kind.DATA, FIRST, {"piece": True}, b"12345")
        assert (await agent.hear(Kind.DATA)).meta == {"more": 5}
        await agent.say(Kind.DATA, FIRST, {"piece": True}, b"67890")
        await agent.say(Kind.RESULT, FIRST, {"size": 10})
        assert await reading == b"1234567890"


@pytest.mark.parametrize("size", [-1, 1.5, True, None, "1", 1 << 60])
async def test_size_that_is_none_ends_the_cell(size: Any) -> None:
    async with asyncio.timeout(SECONDS), linked() as (link, agent):
        reading = asyncio.create_task(read(link))
        await agent.hear(Kind.CALL)
        await agent.say(Kind.DATA, FIRST, {"size": size})
        with pytest.raises(CellEnded):
            await reading


@pytest.mark.parametrize("pieces", [[bytes(WINDOW_BYTES), b"x"], [b""]], ids=["more than the window", "nothing"])
async def test_data_that_was_not_asked_for_ends_the_cell(pieces: list[bytes]) -> None:
    async with asyncio.timeout(SECONDS), linked() as (link, agent), opened(link, agent, size=WINDOW_BYTES * 9) as download:
        waiting = download.pieces()
        for piece in pieces:
            await agent.say(Kind.DATA, FIRST, {"piece": True}, piece)
        with pytest.raises(CellEnded):
            _ = [piece async for piece in waiting]
        assert agent.lost_times == 1


async def test_data_beyond_the_size_of_the_file_ends_the_cell() -> None:
    """The size is in the answer's head, and what follows it would be read as another answer."""
    async with asyncio.timeout(SECONDS), linked() as (link, agent), opened(link, agent, size=10) as download:
        waiting = download.pieces()
        await agent.say(Kind.DATA, FIRST, {"piece": True}, b"12345")
        await agent.say(Kind.DATA, FIRST, {"piece": True}, b"678901")
        with pytest.raises(CellEnded):
            _ = [piece async for piece in waiting]


async def test_data_before_anything_was_asked_for_ends_the_cell() -> None:
    async with asyncio.timeout(SECONDS), linked() as (link, agent), opened(link, agent, size=10):
        await agent.say(Kind.DATA, FIRST, {"piece": True}, b"x")
        await agent.lost


async def test_result_before_all_of_the_file_is_a_failure() -> None:
    async with asyncio.timeout(SECONDS), linked() as (link, agent), opened(link, agent, size=10) as download:
        await agent.say(Kind.RESULT, FIRST, {"size": 10})
        with pytest.raises(ToolFailed):
            _ = [piece async for piece in download.pieces()]


async def test_reader_that_leaves_early_cancels() -> None:
    async with asyncio.timeout(SECONDS), linked() as (link, agent), asyncio.TaskGroup() as tasks:
        tasks.create_task(leave_early(link))
        await agent.hear(Kind.CALL)
        await agent.say(Kind.DATA, FIRST, {"size": 10})
        assert (await agent.hear(Kind.CANCEL)).call == FIRST
        await agent.say(Kind.RESULT, FIRST, {"error": {"kind": "canceled", "message": ""}})


async def test_upload_ends_with_its_source() -> None:
    async with asyncio.timeout(SECONDS), linked() as (link, agent):
        writing = asyncio.create_task(link.call(WriteStream(path="a", size=None, pieces=source(b"x" * 3_000_000, b"y"))))
        assert (await agent.hear(Kind.CALL)).meta == {"tool": "write_files", "files": [{"path": "a", "size": -1}]}
        await agent.hear(Kind.END)
        await agent.say(Kind.RESULT, FIRST, {"count": 1})
        assert await writing == FilesWritten(1)


async def test_source_that_fails_cancels_the_upload() -> None:
    async with asyncio.timeout(SECONDS), linked() as (link, agent):
        writing = asyncio.create_task(link.call(WriteStream(path="a", size=5, pieces=source(b"xy", error=KeyError("gone")))))
        assert (await agent.hear(Kind.CANCEL)).call == FIRST
        await agent.say(Kind.RESULT, FIRST, {"error": {"kind": "canceled", "message": ""}})
        with pytest.raises(KeyError, match="gone"):
            await writing


async def test_refused_upload_is_not_sent_to_its_end() -> None:
    taken = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            await asyncio.wait_for(taken.wait(), SECONDS)
            yield b"x"

    async with asyncio.timeout(SECONDS), linked() as (link, agent):
        writing = asyncio.create_task(link.call(WriteStream(path="a", size=None, pieces=endless())))
        await agent.hear(Kind.CALL)
        refusal: Meta = {"error": {"kind": "disk_full", "message": "full"}}
        await agent.say(Kind.RESULT, FIRST, refusal)
        taken.set()
        with pytest.raises(ToolFailed, match="full"):
            await writing


async def leave_early(link: CellLink) -> None:
    async with link.download(READ):
        pass


@asynccontextmanager
async def opened(link: CellLink, agent: ForgedAgent, *, size: int) -> AsyncIterator[Incoming]:
    """A download that the agent has opened; it hangs up at the end."""
    is_open = asyncio.get_running_loop().create_task(answer_opening(agent, size))
    async with link.download(READ) as download:
        await is_open
        yield download
        agent.close()


async def answer_opening(agent: ForgedAgent, size: int) -> None:
    await agent.hear(Kind.CALL)
    await agent.say(Kind.DATA, FIRST, {"size": size})
