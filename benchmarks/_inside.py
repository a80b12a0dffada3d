"""The server's parts in this process, without its HTTP server, to be asked as often as one likes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
from _serving import INTERPRETER, REGION, are_at_rest, cells_of
from _wire_tap import Tap, Tapped

from cellblock import server
from cellblock.machine.clock import MonotonicClock
from cellblock.machine.data_directory import read_credentials
from cellblock.nodes.local import LocalNode
from cellblock.observing import log_lines
from cellblock.runtime import builds
from cellblock.settings import table as settings
from cellblock.settings.table import Settings

Message = dict[str, Any]
POLL_SECONDS = 0.002
_NOWHERE = "http://127.0.0.1:9"  # nothing is sent there


@dataclass(frozen=True, slots=True)
class Inside:
    """The application and the sessions behind it, and a stock client whose requests are kept instead of sent."""

    application: Any
    live: Any
    node: LocalNode
    settings: Settings
    client: Any
    secret: str  # that the client signs with
    tap: Tap

    def start_request(self) -> Tapped:
        """A signed StartCodeInterpreterSession, another one each time."""
        return self.tap.of(lambda: self.client.start_code_interpreter_session(codeInterpreterIdentifier=INTERPRETER))

    def run_request(self, session_id: str, code: str) -> Tapped:
        """A signed InvokeCodeInterpreter with Python code."""
        arguments = {"language": "python", "code": code}
        named = {"codeInterpreterIdentifier": INTERPRETER, "sessionId": session_id, "name": "executeCode"}
        return self.tap.of(lambda: self.client.invoke_code_interpreter(**named, arguments=arguments))

    async def start(self) -> str:
        """The id of a new session."""
        return str(json.loads(await self.answer(self.start_request()))["sessionId"])

    async def stop(self, session_id: str) -> None:
        """End it."""
        named = {"codeInterpreterIdentifier": INTERPRETER, "sessionId": session_id}
        await self.answer(self.tap.of(lambda: self.client.stop_code_interpreter_session(**named)))

    async def rest(self) -> None:
        """Until the pool has its cells and none of them is at work."""
        assert self.node.template_pid is not None
        while not are_at_rest(cells_of(self.node.template_pid), self.settings.pool_size):  # noqa: ASYNC110 - processes tell nobody
            await asyncio.sleep(POLL_SECONDS)

    async def answer(self, request: Tapped) -> bytes:
        """What the application answers to a request that is whole when it comes."""
        sent: list[Message] = []
        given = [{"type": "http.request", "body": request.body, "more_body": False}]

        async def receive() -> Message:
            return given.pop() if given else await asyncio.get_running_loop().create_future()

        async def send(message: Message) -> None:
            sent.append(message)

        await self.application(scope_of(request), receive, send)
        if sent[0]["status"] >= 300:
            raise RuntimeError(f"the application answered {sent}")
        return b"".join(message.get("body", b"") for message in sent)


def scope_of(request: Tapped) -> Message:
    """ASGI's view of it, as uvicorn gives it."""
    path, _, query = request.path.partition("?")
    return {
        "type": "http",
        "method": request.method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": list(request.headers),
        "client": ("127.0.0.1", 1),
    }


@asynccontextmanager
async def inside(directory: Path, *, pool: int) -> AsyncIterator[Inside]:
    """Everything that `cellblock serve` starts behind its HTTP server, its log lines in a file."""
    chosen = replace(settings.load(), data_dir=directory / "data", pool_size=pool, max_pool_size=0)
    chosen.data_dir.mkdir()
    built = await asyncio.to_thread(builds.build, chosen, lambda progress: None)
    with (directory / "log").open("w") as lines:
        writer = log_lines.set_up(chosen.log_level, lines)
        try:
            async with AsyncExitStack() as parts:
                node = LocalNode(chosen, built)
                running = await server._start(chosen, server.Alone(chosen, node), parts, MonotonicClock())
                client, secret = dry_client(chosen.data_dir)
                yield Inside(running.application, running.live, node, chosen, client, secret, Tap(client, is_dry=True))
        finally:
            writer.close()
            log_lines.set_up(chosen.log_level, sys.stderr).close()


def dry_client(data_dir: Path) -> tuple[Any, str]:
    """A stock client with the server's first key, and the key's secret."""
    key = read_credentials(data_dir)
    if key is None:
        raise RuntimeError(f"{data_dir} holds no credentials")
    session = boto3.Session(aws_access_key_id=key.id, aws_secret_access_key=key.secret, region_name=REGION)
    return session.client("bedrock-agentcore", endpoint_url=_NOWHERE), key.secret
