"""What tools answer, in the shapes of the Model Context Protocol and no more of it than a model's context should take."""

from __future__ import annotations

import base64
from collections.abc import Iterable

import mcp_types as types
from pydantic import BaseModel

from cellblock.mcp import outputs
from cellblock.mcp.arguments import Arguments, GetTask, Paths, StopTask, WriteFiles
from cellblock.mcp.keeping import IMAGE_BYTES, Kept, images_of, is_shown
from cellblock.mcp.shortening import beginning, shares, shortened
from cellblock.model.results import Block, FileBlock, LinkBlock, Structured, TextBlock, ToolResult

WORKSPACE_URI = "file:///workspace/"
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
NO_OUTPUT = "(no output)"

Content = list[types.ContentBlock]


def refusal(text: str) -> types.CallToolResult:
    """A call that was not done, and why."""
    return types.CallToolResult(content=[_text(text)], is_error=True)


def of_run(result: ToolResult, _: Arguments, kept: Kept, limit_bytes: int) -> types.CallToolResult:
    """Of code or a command."""
    structured = _shown(result.structured or Structured(stdout="", stderr=""), kept, limit_bytes)
    output = outputs.RunOutput(
        stdout=structured.stdout,
        stderr=structured.stderr,
        exit_code=structured.exit_code,
        seconds=structured.execution_time,
        kept_files=list(kept.paths.values()),
    )
    return _answer(result, [*_output(result, structured), *_images(result, kept)], output)


def of_task(result: ToolResult, arguments: Arguments, kept: Kept, limit_bytes: int) -> types.CallToolResult:
    """Of a task that was started, asked about or stopped."""
    if result.structured is None:
        return refusal(_joined(result.content))
    structured = _shown(result.structured, kept, limit_bytes)
    known = arguments.task_id if isinstance(arguments, GetTask | StopTask) else ""
    output = outputs.TaskOutput(
        task_id=structured.task_id or known,
        status=structured.task_status or "working",
        stdout=structured.stdout,
        stderr=structured.stderr,
        exit_code=structured.exit_code,
        seconds=structured.execution_time,
        kept_files=list(kept.paths.values()),
    )
    word = "started" if output.status == "submitted" else output.status
    status = f"Task {output.task_id} is {word}." + (f" Exit code {output.exit_code}." if output.exit_code is not None else "")
    texts = [text for text in (structured.stdout, structured.stderr) if text]
    return _answer(result, [_text(status), *map(_text, texts)], output)


def of_writing(result: ToolResult, arguments: Arguments, _: Kept, __: int) -> types.CallToolResult:
    """Of write_files."""
    paths = [file.path for file in arguments.files] if isinstance(arguments, WriteFiles) else []
    return _answer(result, [_text(_joined(result.content))], None if result.is_error else outputs.FilesWritten(written=paths))


def of_removing(result: ToolResult, arguments: Arguments, _: Kept, __: int) -> types.CallToolResult:
    """Of remove_files."""
    paths = arguments.paths if isinstance(arguments, Paths) else []
    return _answer(result, [_text(_joined(result.content))], None if result.is_error else outputs.FilesRemoved(removed=paths))


def of_listing(result: ToolResult, _: Arguments, __: Kept, limit_bytes: int) -> types.CallToolResult:
    """Of list_files."""
    links = [block for block in result.content if isinstance(block, LinkBlock)]
    entries: list[outputs.Entry] = []
    left_bytes = limit_bytes
    for link in links:
        entry = outputs.Entry(path=_path(link.uri), kind="directory" if link.description == "Directory" else "file", size=link.size)
        left_bytes -= len(entry.path.encode("utf-8", "replace")) + 16
        if left_bytes < 0:
            break
        entries.append(entry)
    left_out = len(links) - len(entries)
    lines = [f"{entry.path}/" if entry.kind == "directory" else f"{entry.path}  {entry.size} bytes" for entry in entries]
    lines += [f"[… {left_out} more entries; list them with execute_command …]"] if left_out else []
    lines += [block.text for block in result.content if isinstance(block, TextBlock)]
    text = "\n".join(lines) or "(empty)"
    return _answer(result, [_text(text)], outputs.Listing(entries=entries, left_out=left_out))


def of_reading(result: ToolResult, _: Arguments, __: Kept, limit_bytes: int) -> types.CallToolResult:
    """Of read_files: pictures as pictures, other files as embedded resources."""
    content: Content = []
    files: list[outputs.FileShown] = []
    left_bytes = limit_bytes
    for block in result.content:
        if not isinstance(block, FileBlock):
            content += [_text(block.text)] if isinstance(block, TextBlock) else []
            continue
        shown, is_whole, used_bytes = _file(block, left_bytes)
        left_bytes = max(0, left_bytes - used_bytes)
        content.append(shown)
        size = len(block.content.encode() if isinstance(block.content, str) else block.content)
        files.append(outputs.FileShown(path=_path(block.uri), mime_type=block.mime_type, size=size, is_whole=is_whole))
    return _answer(result, content, outputs.FilesRead(files=files))


def _file(block: FileBlock, left_bytes: int) -> tuple[types.ContentBlock, bool, int]:
    """A file as it is shown, whether that is all of it, and what it takes of the limit on text."""
    path, uri = _path(block.uri), WORKSPACE_URI + _path(block.uri)
    if isinstance(block.content, str):
        text = beginning(block.content, limit_bytes=left_bytes, rest=f"read on with execute_command, for example: sed -n '200,400p' {path}")
        shown = types.TextResourceContents(uri=uri, mime_type=block.mime_type, text=text.text)
        return types.EmbeddedResource(resource=shown), text.is_whole, len(text.text.encode())
    blob = base64.b64encode(block.content).decode()
    if block.mime_type in PICTURES and len(block.content) <= IMAGE_BYTES:
        return types.ImageContent(data=blob, mime_type=block.mime_type), True, 0
    if len(blob) > left_bytes:
        note = f"{path}: {len(block.content)} bytes of {block.mime_type}, too many to be shown; look into it with execute_code"
        return _text(note), False, 0
    return types.EmbeddedResource(resource=types.BlobResourceContents(uri=uri, mime_type=block.mime_type, blob=blob)), True, len(blob)


def _shown(structured: Structured, kept: Kept, limit_bytes: int) -> Structured:
    """The output, no longer than the limit."""
    stdout_bytes, stderr_bytes = len(structured.stdout.encode("utf-8", "replace")), len(structured.stderr.encode("utf-8", "replace"))
    if stdout_bytes + stderr_bytes <= limit_bytes:
        return structured
    of_stdout, of_stderr = shares(stdout_bytes, stderr_bytes, limit_bytes=limit_bytes)
    return Structured(
        stdout=shortened(structured.stdout, limit_bytes=of_stdout, rest=kept.rest_of("stdout.txt")).text,
        stderr=shortened(structured.stderr, limit_bytes=of_stderr, rest=kept.rest_of("stderr.txt")).text,
        exit_code=structured.exit_code,
        execution_time=structured.execution_time,
        task_id=structured.task_id,
        task_status=structured.task_status,
    )


def _output(result: ToolResult, structured: Structured) -> Iterable[types.ContentBlock]:
    """What was printed, and what the service says beside it."""
    printed = [text for text in (structured.stdout, structured.stderr) if text]
    said = {result.structured.stdout, result.structured.stderr} if result.structured else set()
    is_timeout = result.structured is not None and result.structured.exit_code == 124
    notes = [block.text for block in result.content if isinstance(block, TextBlock) and block.text and block.text not in said]
    texts = (printed if is_timeout else [*printed, *notes]) or ([] if images_of(result) else [NO_OUTPUT])
    silent_failure = [f"Exit code {structured.exit_code}"] if structured.exit_code and not structured.stderr else []
    return [_text(text) for text in (*texts, *silent_failure)]


def _images(result: ToolResult, kept: Kept) -> Iterable[types.ContentBlock]:
    for index, image in enumerate(images_of(result)):
        if is_shown(image, index):
            yield types.ImageContent(data=base64.b64encode(image.data).decode(), mime_type=image.mime_type)
    names = [path for name, path in kept.paths.items() if name.startswith("image-")]
    if names:
        yield _text(f"Pictures that are too large or too many to be shown are in {', '.join(names)}")


def _answer(result: ToolResult, content: Content, output: BaseModel | None) -> types.CallToolResult:
    structured = None if output is None else output.model_dump()
    return types.CallToolResult(content=content, structured_content=structured, is_error=result.is_error)


def _joined(blocks: Iterable[Block]) -> str:
    return "\n".join(block.text for block in blocks if isinstance(block, TextBlock))


def _path(uri: str) -> str:
    return uri.removeprefix("file:///")


def _text(text: str) -> types.TextContent:
    return types.TextContent(text=text)
