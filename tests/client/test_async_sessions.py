"""`cellblock.client` for asyncio: the same, awaited."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import aclosing
from inspect import signature
from pathlib import Path

import pytest

from cellblock.client import AsyncClient, AsyncSession, AsyncTask, Client, Output, Result, RunFailed, Server, ServiceError, Session, Task

BYTES = bytes(range(256)) * 1000


@pytest.fixture
async def session(server: Server) -> AsyncIterator[AsyncSession]:
    async with AsyncClient(server) as client, client.session() as started:
        yield started


def public(kind: type) -> dict[str, list[str]]:
    """Each public method with its parameters."""
    methods = {name: value for name, value in vars(kind).items() if not name.startswith("_") and callable(value)}
    return {name: list(signature(method).parameters) for name, method in methods.items()}


@pytest.mark.parametrize(("waiting", "awaiting"), [(Client, AsyncClient), (Session, AsyncSession), (Task, AsyncTask)])
def test_both_clients_have_the_same_methods(waiting: type, awaiting: type) -> None:
    assert public(waiting) == public(awaiting)


async def test_code_runs_and_variables_stay(session: AsyncSession) -> None:
    await session.run("x = 20")
    assert (await session.run("x * 2 + 2")).text == "42"
    assert (await session.command("exit 3")).exit_code == 3
    with pytest.raises(RunFailed):
        (await session.run("1 / 0")).raise_for_error()


async def test_output_is_read_while_it_comes(session: AsyncSession) -> None:
    code = "import os, time\nprint('waiting')\nwhile not os.path.exists('go'):\n    time.sleep(0.01)"
    async with aclosing(session.stream(code)) as items:
        assert await anext(items) == Output("stdout", "waiting\n")
        await session.write("go", "")
        assert [isinstance(item, Result) async for item in items] == [True]


async def test_output_is_given_to_a_function(session: AsyncSession) -> None:
    heard: list[Output] = []
    await session.command("echo out", on_output=heard.append)
    assert heard == [Output("stdout", "out\n")]


async def test_files_go_in_and_out(session: AsyncSession, tmp_path: Path) -> None:
    (tmp_path / "in.bin").write_bytes(BYTES)
    await session.upload(tmp_path / "in.bin")
    await session.upload(io.BytesIO(BYTES), "b.bin")
    await session.download("in.bin", tmp_path / "out.bin")
    target = io.BytesIO()
    await session.download("b.bin", target)
    assert (tmp_path / "out.bin").read_bytes() == target.getvalue() == await session.read("b.bin") == BYTES
    await session.write("c.txt", "text")
    assert await session.read_text("c.txt") == "text"
    assert [entry.name for entry in await session.files()] == ["b.bin", "c.txt", "in.bin"]
    await session.remove("in.bin", "b.bin", "c.txt")
    assert await session.files() == ()


async def test_tasks_are_started_and_stopped(session: AsyncSession) -> None:
    task = await session.start_task("exec sleep 1000")
    assert (await task.status()).task_status == "working"
    await task.stop()
    with pytest.raises(RunFailed):
        await task.stop()


async def test_many_sessions_at_once(server: Server) -> None:
    async with AsyncClient(server) as client:

        async def double(number: int) -> str:
            async with client.session() as session:
                return (await session.run(f"{number} * 2")).text

        assert await asyncio.gather(*map(double, range(16))) == [str(number * 2) for number in range(16)]


async def test_cancelled_call_interrupts_the_run(session: AsyncSession) -> None:
    code = "import time\ntry:\n    open('up', 'w').close()\n    time.sleep(1000)\nfinally:\n    open('interrupted', 'w').close()"
    running = asyncio.create_task(session.run(code))
    while not await session.files():
        assert not running.done()
    running.cancel()
    async with asyncio.timeout(30):
        while [entry.name for entry in await session.files()] != ["interrupted", "up"]:
            pass


async def test_ended_session_is_told(session: AsyncSession) -> None:
    other = session.id
    await session.stop()
    assert other
    async with AsyncSession(client=session._client) as again:
        with pytest.raises(ServiceError):
            await again.read("none")
