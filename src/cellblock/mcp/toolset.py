"""The tools that a client's model is offered: their names, what they say of themselves, and which of the nine does the work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mcp_types as types
from pydantic import BaseModel

from cellblock.mcp import answers, arguments, outputs
from cellblock.mcp.arguments import Arguments
from cellblock.mcp.keeping import Kept
from cellblock.model.requests import ToolName
from cellblock.model.results import ToolResult

INSTRUCTIONS = """\
A sandboxed computer of your own, for calculations, data analysis, charts, file conversion and trying out code.
It starts at the first tool call and ends with this connection. Its workspace, /workspace, is shared by all tools;
variables stay from call to call. Python has numpy, pandas, matplotlib, scipy, scikit-learn and many more; JavaScript and TypeScript
run on Node. There is usually no network: put data in with write_files, and read results with read_files.
Run code rather than guess: prefer execute_code for anything that can be computed."""

Shape = Callable[[ToolResult, Arguments, Kept, int], types.CallToolResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool."""

    name: str
    title: str
    description: str
    arguments: type[Arguments]
    output: type[BaseModel]
    does: ToolName
    shape: Shape
    is_read_only: bool = False
    is_destructive: bool = False

    def described(self) -> types.Tool:
        """As a client lists it."""
        hints = types.ToolAnnotations(
            title=self.title,
            read_only_hint=self.is_read_only,
            destructive_hint=self.is_destructive,
            idempotent_hint=self.is_read_only,
            open_world_hint=False,
        )
        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=self.arguments.model_json_schema(),
            output_schema=self.output.model_json_schema(),
            annotations=hints,
        )


TOOLS = {
    tool.name: tool
    for tool in (
        Tool(
            name="execute_code",
            title="Run code",
            description=(
                "Run Python, JavaScript or TypeScript and see what it prints, its last value, its error, and its charts as pictures"
                " (plt.show() or display()). Variables, imports and functions stay for the next call, files stay in the workspace."
                " Use it to compute, to analyse data with pandas, to draw, and to check an answer before giving it."
                " Long output is shortened and kept in a file that the result names; print only what you need."
            ),
            arguments=arguments.ExecuteCode,
            output=outputs.RunOutput,
            does="executeCode",
            shape=answers.of_run,
            is_destructive=True,
        ),
        Tool(
            name="execute_command",
            title="Run a shell command",
            description=(
                "Run a bash command in the workspace and wait for it: look at files (ls, head, grep), run scripts, unpack archives,"
                " use git or pip. Standard output, standard error and the exit code are returned. For work of minutes use start_command."
            ),
            arguments=arguments.ExecuteCommand,
            output=outputs.RunOutput,
            does="executeCommand",
            shape=answers.of_run,
            is_destructive=True,
        ),
        Tool(
            name="start_command",
            title="Start a command in the background",
            description=(
                "Start a bash command that takes long, such as a training run or a server, and return at once with a task id."
                " Other tools can be used meanwhile. Ask for its output with get_task, end it with stop_task."
            ),
            arguments=arguments.ExecuteCommand,
            output=outputs.TaskOutput,
            does="startCommandExecution",
            shape=answers.of_task,
            is_destructive=True,
        ),
        Tool(
            name="get_task",
            title="See how a background command does",
            description="Return the status of a command of start_command and all that it printed so far; wait_seconds waits for its end.",
            arguments=arguments.GetTask,
            output=outputs.TaskOutput,
            does="getTask",
            shape=answers.of_task,
            is_read_only=True,
        ),
        Tool(
            name="stop_task",
            title="End a background command",
            description="End a command of start_command and everything it started.",
            arguments=arguments.StopTask,
            output=outputs.TaskOutput,
            does="stopTask",
            shape=answers.of_task,
            is_destructive=True,
        ),
        Tool(
            name="write_files",
            title="Write files",
            description="Write one or more files into the workspace, whole or not at all. Existing files are replaced.",
            arguments=arguments.WriteFiles,
            output=outputs.FilesWritten,
            does="writeFiles",
            shape=answers.of_writing,
            is_destructive=True,
        ),
        Tool(
            name="read_files",
            title="Read files",
            description=(
                "Return the content of files: text as it is, pictures (PNG, JPEG, GIF, WebP) as pictures, other files as base64."
                " Only the beginning of a long file is shown; read parts of it with execute_command."
            ),
            arguments=arguments.Paths,
            output=outputs.FilesRead,
            does="readFiles",
            shape=answers.of_reading,
            is_read_only=True,
        ),
        Tool(
            name="list_files",
            title="List files",
            description="List one directory of the workspace, with sizes.",
            arguments=arguments.ListFiles,
            output=outputs.Listing,
            does="listFiles",
            shape=answers.of_listing,
            is_read_only=True,
        ),
        Tool(
            name="remove_files",
            title="Remove files",
            description="Remove files, and directories with all that is in them, from the workspace.",
            arguments=arguments.Paths,
            output=outputs.FilesRemoved,
            does="removeFiles",
            shape=answers.of_removing,
            is_destructive=True,
        ),
    )
}


def listed() -> types.ListToolsResult:
    """All tools, as a client lists them."""
    return types.ListToolsResult(tools=[tool.described() for tool in TOOLS.values()])
