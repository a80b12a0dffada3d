"""The nine tools: check the arguments, ask the cell, shape the result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from cellblock.errors import FieldProblem, ValidationFailed
from cellblock.model.base64_text import Base64Text
from cellblock.model.calls import (
    Callee,
    FileToWrite,
    GetTask,
    ListFiles,
    ReadFiles,
    RemoveFiles,
    RunCode,
    RunCommand,
    StartTask,
    StopTask,
    ToolFailed,
    WriteFiles,
)
from cellblock.model.languages import LANGUAGES
from cellblock.model.requests import InputFile, ToolArguments, ToolName
from cellblock.model.results import ToolResult
from cellblock.service import tool_results
from cellblock.settings.table import Settings

PATH_CHARACTERS = 255
LARGE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLimits:
    """What one call may take and give."""

    code_bytes: int
    inline_file_bytes: int
    output_bytes: int
    read_bytes: int
    seconds: float


def limits(settings: Settings, *, seconds: float) -> ToolLimits:
    """The settings' limits, with the time that this call has."""
    return ToolLimits(
        code_bytes=settings.code_bytes,
        inline_file_bytes=settings.inline_file_bytes,
        output_bytes=settings.output_bytes,
        read_bytes=settings.read_bytes,
        seconds=seconds,
    )


async def use(tool: ToolName, arguments: ToolArguments, *, cell: Callee, limits: ToolLimits) -> ToolResult:
    """One call of a tool. Raises ValidationFailed for the caller's mistakes; what fails in the cell is a result."""
    try:
        return await _TOOLS[tool](cell, arguments, limits)
    except ToolFailed as error:
        return tool_results.failure(error.message)


async def _execute_code(cell: Callee, arguments: ToolArguments, limits: ToolLimits) -> ToolResult:
    if arguments.code is None or arguments.language is None:
        missing = [name for name in ("code", "language") if getattr(arguments, name) is None]
        raise _invalid("code and language fields are required in argument.", *missing)
    size = len(arguments.code.encode("utf-8", "surrogatepass"))
    if size > limits.code_bytes:
        raise _invalid(
            f"code has {size} bytes, the limit is {limits.code_bytes}; write it to a file with writeFiles and run the file", "code"
        )
    run = await cell.call(
        RunCode(
            code=arguments.code,
            language=arguments.language,
            runtime=_runtime(arguments.language, arguments.runtime),
            clear_context=bool(arguments.clear_context),
            timeout_seconds=limits.seconds,
            output_bytes=limits.output_bytes,
        )
    )
    size = len(run.stdout) + len(run.stderr)
    return await _shaped(size, lambda: tool_results.of_run(run, limit_seconds=limits.seconds))


def _runtime(language: str, runtime: str | None) -> str:
    if language not in LANGUAGES:
        raise _invalid(f"language {language} is not known; the languages are {', '.join(LANGUAGES)}", "language")
    entry = LANGUAGES[language]
    if runtime is not None and runtime not in entry.runtimes:
        raise _invalid(f"runtime {runtime} does not run {language}; leave it out or use {' or '.join(entry.runtimes)}", "runtime")
    return runtime or entry.runtimes[0]


async def _execute_command(cell: Callee, arguments: ToolArguments, limits: ToolLimits) -> ToolResult:
    command = _command(arguments, limits)
    run = await cell.call(RunCommand(command=command, timeout_seconds=limits.seconds, output_bytes=limits.output_bytes))
    size = len(run.stdout) + len(run.stderr)
    return await _shaped(size, lambda: tool_results.of_run(run, limit_seconds=limits.seconds))


async def _start_command_execution(cell: Callee, arguments: ToolArguments, limits: ToolLimits) -> ToolResult:
    started = await cell.call(StartTask(command=_command(arguments, limits), output_bytes=limits.output_bytes))
    return tool_results.of_started_task(started.task_id)


def _command(arguments: ToolArguments, limits: ToolLimits) -> str:
    if arguments.command is None:
        raise _required("command")
    size = len(arguments.command.encode("utf-8", "surrogatepass"))
    if size > limits.code_bytes:
        raise _invalid(f"command has {size} bytes, the limit is {limits.code_bytes}; write a script with writeFiles and run it", "command")
    if "\0" in arguments.command:
        raise _invalid("command holds a NUL character, which no shell takes; remove it", "command")
    return arguments.command


async def _get_task(cell: Callee, arguments: ToolArguments, _: ToolLimits) -> ToolResult:
    task = await cell.call(GetTask(_task_id(arguments)))
    return await _shaped(len(task.stdout) + len(task.stderr), lambda: tool_results.of_task(task))


async def _stop_task(cell: Callee, arguments: ToolArguments, _: ToolLimits) -> ToolResult:
    task_id = _task_id(arguments)
    stopped = await cell.call(StopTask(task_id))
    if not stopped.stopped:
        return tool_results.failure(f"Task cannot be canceled (current status: TaskStatus.{stopped.status.upper()})")
    return tool_results.of_stopped_task(task_id)


def _task_id(arguments: ToolArguments) -> str:
    if not arguments.task_id:
        raise _required("taskId")
    return arguments.task_id


async def _write_files(cell: Callee, arguments: ToolArguments, limits: ToolLimits) -> ToolResult:
    if not arguments.content:
        raise _required("content")
    _check_paths("content", (file.path for file in arguments.content))
    files = tuple(FileToWrite(file.path, _data(index, file)) for index, file in enumerate(arguments.content))
    total = sum(len(file.data) for file in files)
    if total > limits.inline_file_bytes:
        raise _invalid(
            f"content has {total} bytes, the limit of one call is {limits.inline_file_bytes}; send it in several calls", "content"
        )
    written = await cell.call(WriteFiles(files))
    return tool_results.success(f"Successfully wrote all {written.count} files")


def _data(index: int, file: InputFile) -> bytes | Base64Text:
    if file.blob is not None and file.text is None:
        return file.blob
    if file.text is not None and file.blob is None:
        return file.text.encode("utf-8", "replace")
    raise _invalid(f"content[{index}] needs exactly one of text and blob", f"content[{index}]")


async def _read_files(cell: Callee, arguments: ToolArguments, limits: ToolLimits) -> ToolResult:
    paths = _paths(arguments)
    read = await cell.call(ReadFiles(paths=paths, limit_bytes=limits.read_bytes))
    size = sum(len(file.data or b"") for file in read.files)
    return await _shaped(size, lambda: tool_results.of_files(read.files, limit_bytes=limits.read_bytes))


async def _list_files(cell: Callee, arguments: ToolArguments, _: ToolLimits) -> ToolResult:
    directory = arguments.directory_path or arguments.path or ""
    _check_paths("directoryPath", (directory,))
    listing = await cell.call(ListFiles(directory))
    size = len(listing.entries) * tool_results.BLOCK_BYTES
    return await _shaped(size, lambda: tool_results.of_listing(directory, listing))


async def _remove_files(cell: Callee, arguments: ToolArguments, _: ToolLimits) -> ToolResult:
    return tool_results.of_removal(await cell.call(RemoveFiles(_paths(arguments))))


def _paths(arguments: ToolArguments) -> tuple[str, ...]:
    if not arguments.paths:
        raise _required("paths")
    _check_paths("paths", arguments.paths)
    return arguments.paths


def _check_paths(member: str, paths: Iterable[str]) -> None:
    problems = tuple(FieldProblem(f"arguments.{member}", problem) for path in paths if (problem := _path_problem(path)))
    if problems:
        raise ValidationFailed("; ".join(problem.message for problem in problems), fields=problems)


def _path_problem(path: str) -> str:
    if len(path) > PATH_CHARACTERS:
        return f"path {path[:40]}… has {len(path)} characters, the limit is {PATH_CHARACTERS}; use a shorter one"
    if "\0" in path:
        return "a path holds a NUL character, which no file name has; remove it"
    return ""


async def _shaped(size: int, shape: Callable[[], ToolResult]) -> ToolResult:
    """Shape a result, a large one off the event loop."""
    return await asyncio.to_thread(shape) if size > LARGE_BYTES else shape()


def _required(member: str) -> ValidationFailed:
    return _invalid(f"{member} field is required in argument.", member)


def _invalid(message: str, *members: str) -> ValidationFailed:
    return ValidationFailed(message, fields=tuple(FieldProblem(f"arguments.{member}", message) for member in members))


_TOOLS: dict[ToolName, Callable[[Callee, ToolArguments, ToolLimits], Awaitable[ToolResult]]] = {
    "executeCode": _execute_code,
    "executeCommand": _execute_command,
    "startCommandExecution": _start_command_execution,
    "getTask": _get_task,
    "stopTask": _stop_task,
    "writeFiles": _write_files,
    "readFiles": _read_files,
    "listFiles": _list_files,
    "removeFiles": _remove_files,
}
