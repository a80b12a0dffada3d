"""Start, ready, drain and stop of the server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cellblock.machine.data_directory import DataDirectoryError
from cellblock.machine.endpoint import NoServer, exports, read_endpoint
from cellblock.machine.listeners import Address
from cellblock.machine.signals import StopSignals
from cellblock.model.calls import Call
from cellblock.server import serve
from cellblock.settings.table import Settings
from service.fake_node import FakeCell, FakeNode, done
from service.served import Served, serving


class Run:
    """Code that runs until the test lets it end."""

    def __init__(self, node: FakeNode) -> None:
        self.started, self.open = asyncio.Event(), asyncio.Event()
        node.scripts["wait"] = self._run

    async def _run(self, cell: FakeCell, request: Call[Any]) -> Any:
        self.started.set()
        await self.open.wait()
        return done("finished\n")


async def draining(served: Served) -> None:
    """Wait until the server refuses new sessions."""
    async with asyncio.timeout(10):
        while await started(served):
            pass


async def started(served: Served) -> bool:
    """Whether a session could be started; it is stopped again."""
    try:
        session = await served.start()
    except served.data().exceptions.ThrottlingException:
        return False
    await session.stop()
    return True


async def test_running_call_ends_before_the_server_does(data_dir: Path) -> None:
    async with serving(data_dir) as served:
        session, run = await served.start(), Run(served.node)
        call = asyncio.create_task(session.run("wait"))
        await run.started.wait()
        served.stop.ask()
        await draining(served)
        error = await session.refused("listFiles")
        assert (error["Error"]["Code"], "stopping" in error["Error"]["Message"]) == ("ThrottlingException", True)
        run.open.set()
        assert (await call)["structuredContent"]["stdout"] == "finished"


async def test_call_that_outlives_the_drain_is_told_why(data_dir: Path) -> None:
    async with serving(data_dir, drain_seconds=0) as served:
        session, run = await served.start(), Run(served.node)
        call = asyncio.create_task(session.refused("executeCode", language="python", code="wait"))
        await run.started.wait()
        served.stop.ask()
        assert "server stopped" in (await call)["Error"]["Message"]


async def test_second_signal_does_not_wait_for_calls(data_dir: Path) -> None:
    async with serving(data_dir, drain_seconds=3600) as served:
        session, run = await served.start(), Run(served.node)
        call = asyncio.create_task(session.refused("executeCode", language="python", code="wait"))
        await run.started.wait()
        served.stop.ask()
        await draining(served)
        served.stop.ask()
        assert "server stopped" in (await call)["Error"]["Message"]
        await served.serving


async def test_second_server_on_the_same_directory_is_refused(served: Served) -> None:
    with pytest.raises(DataDirectoryError, match="in use by process"):
        async with serving(served.data_dir):
            pass


async def test_address_in_use_is_told_before_anything_starts(served: Served, tmp_path: Path) -> None:
    port = int(served.endpoint.rpartition(":")[2])
    node = FakeNode()
    settings = Settings(data_dir=tmp_path / "other", cache_dir=tmp_path)
    with pytest.raises(OSError, match="in use"):
        await serve(settings, node, Address(host="127.0.0.1", port=port), stop=StopSignals(), on_ready=print)
    assert node.cells == []


async def test_stop_before_ready_ends_the_start(data_dir: Path, tmp_path: Path) -> None:
    class SlowNode(FakeNode):
        async def start(self) -> None:
            starting.set()
            await asyncio.Event().wait()

    starting, stop, node = asyncio.Event(), StopSignals(), SlowNode()
    settings = Settings(data_dir=data_dir, cache_dir=tmp_path)
    task = asyncio.create_task(serve(settings, node, Address(host="127.0.0.1", port=0), stop=stop, on_ready=print))
    await starting.wait()
    stop.ask()
    await task
    assert node.is_closed


async def test_endpoint_is_known_while_the_server_runs(data_dir: Path) -> None:
    async with serving(data_dir) as served:
        assert read_endpoint(data_dir) == served.endpoint
        lines = exports(data_dir, region="eu-west-1", models=Path("/models")).splitlines()
        assert f"export AWS_ENDPOINT_URL_BEDROCK_AGENTCORE={served.endpoint}" in lines
        assert f"export BEDROCK_AGENTCORE_CP_ENDPOINT={served.endpoint}" in lines
        assert f"export AWS_ACCESS_KEY_ID={served.key.id}" in lines
        assert "export AWS_DEFAULT_REGION=eu-west-1" in lines
        assert "export AWS_DATA_PATH=/models" in lines
        assert len(lines) == 9
    with pytest.raises(NoServer, match="cellblock serve --data-dir"):
        exports(data_dir, region="eu-west-1", models=Path("/models"))


async def test_endpoint_of_a_killed_server_is_not_believed(data_dir: Path) -> None:
    async with serving(data_dir):
        said = (data_dir / "endpoint").read_text()
    (data_dir / "endpoint").write_text(said)
    with pytest.raises(NoServer):
        read_endpoint(data_dir)


def test_address_of_ip_version_6_is_bracketed() -> None:
    assert Address(host="::1", port=8080).url == "http://[::1]:8080"
