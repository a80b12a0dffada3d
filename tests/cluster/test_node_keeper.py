"""The process of a node is kept running, and ends with who keeps it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cellblock.cluster.node_keeper import NodeKeeper
from running_server import until

# Speaks as a node does: says where it serves, and ends with its standard input or at SIGTERM.
NODE = """
import os, sys
print("log of another kind", flush=True)
print(f"cellblock node n1 is ready on http://127.0.0.1:{os.getpid()}", flush=True)
sys.stdin.read()
"""
BOUND_SECONDS = 20


@pytest.fixture
async def keeper() -> AsyncIterator[NodeKeeper]:
    made = NodeKeeper(dict(os.environ), (sys.executable, "-c", NODE))
    yield made
    await asyncio.wait_for(made.stop(), BOUND_SECONDS)


def pid_in(url: str) -> int:
    return int(url.rpartition(":")[2])


async def test_node_that_was_killed_is_told_of_and_started_again(keeper: NodeKeeper) -> None:
    first = await asyncio.wait_for(keeper.url(), BOUND_SECONDS)
    ended = asyncio.create_task(keeper.ended(first))
    os.kill(pid_in(first), signal.SIGKILL)
    await asyncio.wait_for(ended, BOUND_SECONDS)
    second = await asyncio.wait_for(keeper.url(), BOUND_SECONDS)
    assert second != first


async def test_stopped_node_is_not_started_again(keeper: NodeKeeper) -> None:
    url = await asyncio.wait_for(keeper.url(), BOUND_SECONDS)
    await asyncio.wait_for(keeper.stop(), BOUND_SECONDS)
    with pytest.raises(ProcessLookupError):
        os.kill(pid_in(url), 0)
    assert await asyncio.wait_for(keeper.url(), BOUND_SECONDS) == ""


def test_node_ends_with_a_keeper_that_is_killed() -> None:
    program = f"""
import asyncio, os
from cellblock.cluster.node_keeper import NodeKeeper
async def main():
    print(await NodeKeeper(dict(os.environ), ({sys.executable!r}, "-c", {NODE!r})).url(), flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as keeping:
        assert keeping.stdout is not None
        pid = pid_in(keeping.stdout.readline().strip())
        keeping.kill()
    until(lambda: not Path("/proc", str(pid), "exe").exists())
