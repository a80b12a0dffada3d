"""The protocol's server for one connection: lists the tools, runs them in the connection's session, and says how long they run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from typing import Any, TypeVar

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from pydantic import ValidationError

from cellblock.errors import CellblockError
from cellblock.mcp import answers
from cellblock.mcp.arguments import Arguments, GetTask
from cellblock.mcp.conversation import Conversation, SessionLost
from cellblock.mcp.keeping import keep
from cellblock.mcp.last_line import LastLine
from cellblock.mcp.toolset import INSTRUCTIONS, TOOLS, Tool, listed
from cellblock.model.results import ToolResult

PROGRESS_SECONDS = 1.0
POLL_SECONDS = 0.5
FOLLOWED = ("executeCode", "executeCommand")
LOST_NOTE = "The next call starts a fresh one: variables, files and tasks are gone"

ResultT = TypeVar("ResultT")
Context = ServerRequestContext[Any, Any]


def named_server(handler: Any) -> Server[Any]:
    """The protocol's server with these tools, whoever runs them."""

    async def list_tools(_: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return listed()

    return Server(
        "cellblock",
        version=version("cellblock"),
        title="Cellblock code interpreter",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=handler,
    )


class Interpreter:
    """Answers a connection's calls."""

    def __init__(self, conversation: Conversation, *, result_bytes: int) -> None:
        self._conversation = conversation
        self._result_bytes = result_bytes

    async def call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        """One call; what the model did wrong is an answer it can act on. Cancelling it interrupts the run."""
        tool = TOOLS.get(params.name)
        if tool is None:
            return answers.refusal(f"there is no tool {params.name}; the tools are {', '.join(TOOLS)}")
        try:
            arguments = tool.arguments.model_validate(params.arguments or {})
        except ValidationError as error:
            return answers.refusal(_problems(error))
        try:
            last_line = LastLine()
            return await with_progress(context, self._answer(tool, arguments, last_line), note=last_line.text)
        except SessionLost as error:
            return answers.refusal(f"{error}. {LOST_NOTE}")
        except CellblockError as error:
            return answers.refusal(f"{error.guide_name or error.code}: {error.public_message or error.message}")

    async def _answer(self, tool: Tool, arguments: Arguments, last_line: LastLine) -> types.CallToolResult:
        follower = last_line if tool.does in FOLLOWED else None
        result = await self._conversation.use(tool.does, arguments.for_tool(), follower=follower)
        if isinstance(arguments, GetTask):
            result = await self._ended(result, arguments)
        kept = await keep(result, self._conversation, limit_bytes=self._result_bytes)
        return tool.shape(result, arguments, kept, self._result_bytes)

    async def _ended(self, result: ToolResult, arguments: GetTask) -> ToolResult:
        """The task's state when it has ended, or when the model has waited as long as it wanted to."""
        loop = asyncio.get_running_loop()
        until = loop.time() + arguments.wait_seconds
        while result.structured and result.structured.task_status == "working" and loop.time() < until:
            await asyncio.sleep(min(POLL_SECONDS, until - loop.time()))
            result = await self._conversation.use("getTask", arguments.for_tool())
        return result


async def with_progress(context: Context, work: Coroutine[Any, Any, ResultT], *, note: Callable[[], str] = str) -> ResultT:
    """The work's result; while it runs, a client that asked for progress hears every second that it does, and the note."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=PROGRESS_SECONDS))[0]:
            seconds = round(loop.time() - started)
            said = note()
            message = f"running for {seconds} s: {said}" if said else f"running for {seconds} s"
            await context.session.report_progress(float(seconds), message=message)
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _problems(error: ValidationError) -> str:
    """What is wrong with arguments, without the values: a model knows what it sent."""
    found = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors(include_input=False, include_url=False)]
    return "The arguments do not fit: " + "; ".join(found)
