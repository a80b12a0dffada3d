"""A real server on a real socket over a node in memory, and stock boto3 clients for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cellblock.machine.data_directory import read_credentials
from cellblock.machine.listeners import Address
from cellblock.machine.signals import StopSignals
from cellblock.model.policies import EVERYTHING, Policy
from cellblock.model.resources import AccessKey, Account, new_access_key, now
from cellblock.server import serve
from cellblock.settings.table import Settings
from cellblock.store.sqlite import SqliteStore
from service.fake_clock import FakeClock
from service.fake_node import FakeCell, FakeNode

BUILT_IN = "aws.codeinterpreter.v1"
CLIENT_THREADS = ThreadPoolExecutor(max_workers=32, thread_name_prefix="client")
NO_RETRIES = {"total_max_attempts": 1}
ResultT = TypeVar("ResultT")


async def off_loop(function: Callable[..., ResultT], *arguments: Any, **named: Any) -> ResultT:
    """boto3 blocks; the server under test runs on this loop."""
    return await asyncio.get_running_loop().run_in_executor(CLIENT_THREADS, partial(function, *arguments, **named))


async def until(condition: Callable[[], bool]) -> None:
    """Let the server's loop turn until it is so."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.to_thread(bool)  # a turn of the loop that lets sockets in


async def refused(function: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """The error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        await off_loop(function, **arguments)
    response: dict[str, Any] = caught.value.response
    return response


@dataclass(frozen=True)
class Served:
    """A running server and what a client needs."""

    endpoint: str
    key: AccessKey
    node: FakeNode
    stop: StopSignals
    serving: asyncio.Task[None]
    data_dir: Path

    def data(self, *, secret: str | None = None, key_id: str | None = None, region: str = "us-west-2", **config: Any) -> Any:
        """A boto3 client of the data plane."""
        return self._client("bedrock-agentcore", secret, key_id, region, config)

    def control(self, *, region: str = "us-west-2", **config: Any) -> Any:
        """A boto3 client of the control plane."""
        return self._client("bedrock-agentcore-control", None, None, region, config)

    def of(self, key: AccessKey) -> Served:
        """The same server as another key's owner uses it."""
        return replace(self, key=key)

    async def other_key(self, name: str, *, account: str | None = None, policy: Policy = EVERYTHING) -> AccessKey:
        """A further key, of another account when one is named; made beside the server, as the command line does."""
        async with self.store() as store:
            if account is not None and account not in [known.id for known in await store.list_accounts()]:
                await store.create_account(Account(id=account, name=f"account {account}", created_at=now()))
            return await store.create_access_key(new_access_key(account=account or self.key.account, name=name, policy=policy))

    @asynccontextmanager
    async def store(self) -> AsyncIterator[SqliteStore]:
        """A second look into the server's database."""
        store = await SqliteStore.open(self.data_dir)
        try:
            yield store
        finally:
            await store.close()

    def _client(self, service: str, secret: str | None, key_id: str | None, region: str, config: dict[str, Any]) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id=key_id or self.key.id,
            aws_secret_access_key=secret or self.key.secret,
            config=Config(**({"retries": NO_RETRIES, "max_pool_connections": 20} | config)),
        )

    async def start(self, **arguments: Any) -> Session:
        """A session of the built-in interpreter."""
        client = self.data()
        started = await off_loop(client.start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN, **arguments)
        return Session(self, client, started["sessionId"])


@dataclass(frozen=True)
class Session:
    """A session as a client has it."""

    served: Served
    client: Any
    id: str

    @property
    def cell(self) -> FakeCell:
        """The cell that ran something last."""
        return [cell for cell in self.served.node.cells if cell.calls][-1]

    async def refused(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The error that a call of a tool ends with."""
        return await refused(
            self.client.invoke_code_interpreter, codeInterpreterIdentifier=BUILT_IN, sessionId=self.id, name=tool, arguments=arguments
        )

    async def invoke(self, tool: str, *, client: Any = None, **arguments: Any) -> dict[str, Any]:
        """The one result of a tool."""
        return await off_loop(invoke, client or self.client, self.id, tool, arguments)

    async def run(self, code: str) -> dict[str, Any]:
        """The result of Python code."""
        return await self.invoke("executeCode", language="python", code=code)

    async def stop(self) -> dict[str, Any]:
        """Stop the session."""
        return await off_loop(self.client.stop_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN, sessionId=self.id)

    async def get(self) -> dict[str, Any]:
        """The session as the API describes it."""
        return await off_loop(self.client.get_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN, sessionId=self.id)


def invoke(client: Any, session_id: str, tool: str, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The one result event of a call."""
    answer = client.invoke_code_interpreter(
        codeInterpreterIdentifier=BUILT_IN, sessionId=session_id, name=tool, arguments=arguments, **more
    )
    events = list(answer["stream"])
    assert len(events) == 1
    result: dict[str, Any] = events[0]["result"]
    return result


@asynccontextmanager
async def serving(
    data_dir: Path, *, node: FakeNode | None = None, clock: FakeClock | None = None, **settings: Any
) -> AsyncIterator[Served]:
    """A server for the block; it must have let go of every cell when it ends."""
    node = node or FakeNode()
    ready: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
    stop = StopSignals()
    chosen = Settings(**({"data_dir": data_dir, "cache_dir": data_dir, "pool_size": 1, "drain_seconds": 5} | settings))
    task = asyncio.create_task(
        serve(
            chosen,
            node,
            Address(host="127.0.0.1", port=0, unix_socket=chosen.unix_socket),
            stop=stop,
            on_ready=ready.set_result,
            clock=clock,
        )
    )
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    key = read_credentials(data_dir)
    assert key is not None
    try:
        yield Served(ready.result().url, key, node, stop, task, data_dir)
    finally:
        stop.ask()
        await task
    assert node.open_cells == set()
    assert node.is_closed
