"""The protocol over standard input and output: answers what needs no sandbox, passes calls on to a server."""

from __future__ import annotations

import asyncio
import os
import signal

import mcp_types as types
from mcp.client import Client
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

from cellblock.errors import CommandFailed, HostNotReady
from cellblock.mcp import answers
from cellblock.mcp.interpreter import Context, named_server, with_progress
from cellblock.mcp.upstream import Find, Upstream
from cellblock.runtime import builds
from cellblock.settings.table import Settings


async def serve_stdio(settings: Settings, find: Find, interpreter_id: str) -> None:
    """Serve the client at the other end of the pipes until it closes them, or a signal comes."""
    upstream = Upstream(settings, find, interpreter_id)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    building = None if find() else asyncio.create_task(_build(settings), name="build the runtime")
    serving = asyncio.create_task(_serve(_PassOn(upstream)), name="mcp over standard input")
    stopping = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await upstream.close()
    if not serving.done() or (building and not building.done()):
        os._exit(0)  # a thread still reads standard input, or builds; nothing can wake it, and all that was started is ended
    stopping.cancel()
    serving.result()


async def _serve(calls: _PassOn) -> None:
    server = named_server(calls.call_tool)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


async def _build(settings: Settings) -> None:
    """A first use must not wait for this longer than it has to; what goes wrong is told at the first call."""
    await asyncio.to_thread(builds.build, settings, lambda _: None)


class _PassOn:
    """Answers calls with what the server answers."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        """One call; cancelling it cancels it there."""
        try:
            client = await with_progress(context, self._upstream.client())
        except (CommandFailed, HostNotReady) as error:
            return answers.refusal(f"the sandbox could not be started: {error}; `cellblock doctor` may say what is missing")
        except Exception as error:
            return answers.refusal(f"the sandbox could not be reached: {error}")
        try:
            return await self._pass_on(client, context, params)
        except MCPError as error:
            return answers.refusal(f"the connection to the sandbox was lost ({error}); the next call starts a fresh one")

    async def _pass_on(self, client: Client, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        async def forward(progress: float, total: float | None, message: str | None) -> None:
            await context.session.report_progress(progress, total, message)

        return await client.call_tool(params.name, params.arguments, progress_callback=forward)
