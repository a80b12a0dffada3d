"""What a model may say to each tool; the schemas that clients are shown are made from these."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from cellblock.model.requests import InputFile, ToolArguments


class Arguments(BaseModel):
    """Arguments of a tool; ones that it does not have are refused, so that a model learns of its mistake."""

    model_config = ConfigDict(extra="forbid")

    def for_tool(self) -> ToolArguments:
        """The same in the service's words."""
        raise NotImplementedError


class ExecuteCode(Arguments):
    """Of execute_code."""

    code: Annotated[str, Field(description="The code to run. The value of a last expression is shown, as in a notebook.")]
    language: Annotated[
        Literal["python", "javascript", "typescript"], Field(description="Each language keeps its own variables; files are shared.")
    ] = "python"
    reset: Annotated[bool, Field(description="Forget this language's variables and imports first. Files stay.")] = False

    def for_tool(self) -> ToolArguments:
        """As executeCode takes it."""
        return ToolArguments(code=self.code, language=self.language, clear_context=self.reset)


class ExecuteCommand(Arguments):
    """Of execute_command and start_command."""

    command: Annotated[str, Field(description="A bash command line, run in the workspace. `cd` and `export` last for this call only.")]

    def for_tool(self) -> ToolArguments:
        """As executeCommand takes it."""
        return ToolArguments(command=self.command)


class GetTask(Arguments):
    """Of get_task."""

    task_id: Annotated[str, Field(description="The id that start_command returned.")]
    wait_seconds: Annotated[
        float, Field(ge=0, le=60, description="Return as soon as the task ends, at the latest after so many seconds.")
    ] = 0

    def for_tool(self) -> ToolArguments:
        """As getTask takes it."""
        return ToolArguments(task_id=self.task_id)


class StopTask(Arguments):
    """Of stop_task."""

    task_id: Annotated[str, Field(description="The id that start_command returned.")]

    def for_tool(self) -> ToolArguments:
        """As stopTask takes it."""
        return ToolArguments(task_id=self.task_id)


def _is_base64(value: str) -> str:
    try:
        base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError("is not base64") from error
    return value


class FileToWrite(BaseModel):
    """One file of write_files."""

    model_config = ConfigDict(extra="forbid")

    path: Annotated[str, Field(description="Relative to the workspace, for example data/input.csv. Directories are made.")]
    text: Annotated[str | None, Field(description="The content of a text file.")] = None
    base64: Annotated[str | None, AfterValidator(lambda value: value and _is_base64(value))] = Field(
        default=None, description="The content of any other file. Give either this or text."
    )

    def input_file(self) -> InputFile:
        """As writeFiles takes it."""
        return InputFile(path=self.path, text=self.text, blob=None if self.base64 is None else base64.b64decode(self.base64))


class WriteFiles(Arguments):
    """Of write_files."""

    files: Annotated[list[FileToWrite], Field(min_length=1, description="All are written, or none. Files that are there are replaced.")]

    def for_tool(self) -> ToolArguments:
        """As writeFiles takes it."""
        return ToolArguments(content=tuple(file.input_file() for file in self.files))


class Paths(Arguments):
    """Of read_files and remove_files."""

    paths: Annotated[list[str], Field(min_length=1, description="Paths relative to the workspace.")]

    def for_tool(self) -> ToolArguments:
        """As readFiles and removeFiles take it."""
        return ToolArguments(paths=tuple(self.paths))


class ListFiles(Arguments):
    """Of list_files."""

    directory: Annotated[str, Field(description="Relative to the workspace; empty for the workspace itself.")] = ""

    def for_tool(self) -> ToolArguments:
        """As listFiles takes it."""
        return ToolArguments(directory_path=self.directory)
