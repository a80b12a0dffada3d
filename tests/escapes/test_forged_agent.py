"""An agent taken over by its code speaks for the cell: what it can make the host keep has to end, whatever it answers."""

from __future__ import annotations

import asyncio

import pytest

from cellblock.errors import CellEnded
from cellblock.model.calls import ListFiles
from cellblock_cell.link import Frame, Kind, encode
from forged_agent import linked

SECONDS = 60
NAME = "\U0001f600" * 255  # four bytes of the host's memory a character
ENTRIES = [{"name": f"{number:03}{NAME[:252]}", "kind": "file", "size": 0} for number in range(1000)]
ALLOWED_FRAMES = 8 * 1024 * 1024 // (255 * len(ENTRIES))


async def listed(frames: int) -> int:
    """How many entries the host keeps of so many frames of a thousand."""
    async with linked() as (link, agent), asyncio.timeout(SECONDS):
        await agent.say(Kind.HELLO, 0, {})
        await link.wait_ready(SECONDS)
        calling = asyncio.ensure_future(link.call(ListFiles("")))
        number = (await agent.hear(Kind.CALL)).call
        data = encode(Frame(Kind.DATA, number, {"entries": [dict(entry) for entry in ENTRIES]}))
        for _ in range(frames):
            await agent.send(data)
        await agent.say(Kind.RESULT, number, {})
        return len((await calling).entries)


async def test_a_long_listing_is_believed() -> None:
    assert await listed(ALLOWED_FRAMES) == ALLOWED_FRAMES * len(ENTRIES)


async def test_a_listing_without_end_ends_its_cell() -> None:
    with pytest.raises(CellEnded, match="listing without end"):
        await listed(ALLOWED_FRAMES + 1)
