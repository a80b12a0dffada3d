"""What cells answer, in the shape that clients get."""

from __future__ import annotations

import posixpath
from functools import lru_cache
from mimetypes import MimeTypes
from pathlib import PurePosixPath

from cellblock.model.calls import Entry, FileRead, FilesRemoved, Listing, Run, TaskState
from cellblock.model.results import Block, FileBlock, ImageBlock, LinkBlock, Structured, TextBlock, ToolResult
from cellblock.service.result_size import content_size, fit_run, fit_task, fits_event

TIMEOUT_EXIT_CODE = 124
WORKSPACE = "/workspace"
BLOCK_BYTES = 256  # of a block beside its texts
PROBLEM_BYTES = 1024  # of the text that may stand for a file
UNKNOWN_TYPE = "application/octet-stream"

_MIME_TYPES = MimeTypes(filenames=())  # Python's own table: the same answer on every host
for _mime_type, _ending in (
    ("application/vnd.apache.parquet", ".parquet"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".xlsx"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", ".docx"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", ".pptx"),
    ("application/x-ipynb+json", ".ipynb"),
    ("application/yaml", ".yaml"),
    ("application/yaml", ".yml"),
    ("application/toml", ".toml"),
    ("text/markdown", ".md"),
    ("text/plain", ".log"),
    ("text/x-typescript", ".ts"),
    ("image/webp", ".webp"),
):
    _MIME_TYPES.add_type(_mime_type, _ending)
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
)


def failure(text: str) -> ToolResult:
    """A tool could not do what it was asked."""
    return ToolResult(content=(TextBlock(text),), is_error=True)


def success(text: str) -> ToolResult:
    """A tool did what it was asked and has nothing else to show."""
    return ToolResult(content=(TextBlock(text),))


def timed_out(limit_seconds: float, note: str) -> ToolResult:
    """A call whose time was over before the cell answered."""
    run = Run(stdout=b"", stderr=b"", exit_code=TIMEOUT_EXIT_CODE, seconds=limit_seconds, outcome="timeout", note=note)
    return of_run(run, limit_seconds=limit_seconds)


def size(result: ToolResult) -> int:
    """About how much memory a result takes."""
    structured = result.structured
    output = len(structured.stdout) + len(structured.stderr) if structured else 0
    return output + sum(_block_size(block) for block in result.content)


def of_run(run: Run, *, limit_seconds: float) -> ToolResult:
    """The result of code or a command, no larger than one event carries."""
    run = fit_run(run)
    stdout = _with_marker(readable(run.stdout), run.dropped_bytes)
    stderr = readable(run.stderr)
    reason = _reason(run, limit_seconds)
    exit_code = TIMEOUT_EXIT_CODE if run.outcome == "timeout" else run.exit_code
    said = stderr if run.outcome == "done" else _joined(stderr, reason)
    shown = _output_blocks(_joined(reason, stdout), stderr) if run.outcome == "timeout" else _output_blocks(stdout, said)
    images = tuple(ImageBlock(data=image.data, mime_type=image.mime_type) for image in run.images)
    notes = (TextBlock(run.note),) if run.outcome == "done" and run.note else ()
    return ToolResult(
        content=(*shown, *images, *notes),
        structured=Structured(stdout=stdout, stderr=said, exit_code=exit_code, execution_time=round(run.seconds, 6)),
        is_error=run.outcome != "done" or exit_code != 0,
    )


def of_started_task(task_id: str) -> ToolResult:
    """A task was started."""
    return ToolResult(
        content=(TextBlock("Successfully started a command execution task"),),
        structured=Structured(stdout="", stderr="", task_id=task_id, task_status="submitted"),
    )


def of_stopped_task(task_id: str) -> ToolResult:
    """A task was ended by this call."""
    return ToolResult(
        content=(TextBlock("Successfully canceled a command execution task"),),
        structured=Structured(stdout="", stderr="", task_id=task_id, task_status="canceled"),
    )


def of_task(task: TaskState) -> ToolResult:
    """How a task does."""
    task = fit_task(task)
    stdout, stderr = _with_marker(readable(task.stdout), task.dropped_bytes), readable(task.stderr)
    if task.status in ("submitted", "working"):
        structured = Structured(stdout=stdout, stderr=stderr, task_status=task.status)
        return ToolResult(content=(TextBlock("Task is working"),), structured=structured)
    return ToolResult(
        content=_output_blocks(stdout, stderr),
        structured=Structured(
            stdout=stdout, stderr=stderr, exit_code=task.exit_code, execution_time=round(task.seconds, 6), task_status=task.status
        ),
    )


def of_listing(directory: str, listing: Listing) -> ToolResult:
    """One level of a directory, as much of it as one event carries."""
    blocks: list[Block] = []
    size = 0
    parent = _uri_of_parent(directory)
    parent_size = content_size(parent)
    for entry in listing.entries:
        size += parent_size + 2 * content_size(entry.name) + BLOCK_BYTES
        if not fits_event(size):
            left = len(listing.entries) - len(blocks)
            text = f"{left} more entries do not fit in this answer; list them with executeCommand, or sort them into directories"
            return ToolResult(content=(*blocks, TextBlock(text)), is_error=True)
        blocks.append(_link(parent, entry))
    return ToolResult(content=tuple(blocks))


def of_removal(removal: FilesRemoved) -> ToolResult:
    """What a removal did, and what it could not."""
    problems = [f"{path}: no such file or directory" for path in removal.missing]
    problems += [f"{path}: {message}" for path, message in removal.failed]
    if not problems:
        return success(f"Successfully removed all {removal.removed} files")
    problems.append(f"removed {removal.removed} of {removal.removed + len(problems)} files")
    return ToolResult(content=tuple(TextBlock(problem) for problem in problems), is_error=True)


def of_files(files: tuple[FileRead, ...], *, limit_bytes: int) -> ToolResult:
    """The files that one event carries, and for each other one why it is not here."""
    blocks: list[Block] = []
    raw_size = problems = 0
    size = len(files) * PROBLEM_BYTES
    for file in files:
        block = _file_block(file)
        raw_bytes, event_bytes = len(file.data or b""), content_size(block.content)
        if file.error or raw_size + raw_bytes > limit_bytes or not fits_event(size + event_bytes):
            blocks.append(TextBlock(_file_problem(file, limit_bytes)))
            problems += 1
            continue
        raw_size, size = raw_size + raw_bytes, size + event_bytes
        blocks.append(block)
    return ToolResult(content=tuple(blocks), is_error=problems > 0)


def file_uri(path: str) -> str:
    """Relative to the workspace and never percent-encoded: clients cut `file://` off and compare paths."""
    return f"file:///{_in_workspace(path)}"


def readable(output: bytes) -> str:
    """Output as text: invalid UTF-8 replaced, no white space at the end; leading space carries the alignment of tables."""
    return output.decode("utf-8", "replace").rstrip()


def dropped_marker(dropped_bytes: int) -> str:
    """Says that output was cut."""
    return f"[{dropped_bytes} bytes of output dropped: it is over the limit]"


def _block_size(block: Block) -> int:
    if isinstance(block, TextBlock):
        return len(block.text)
    if isinstance(block, ImageBlock):
        return len(block.data)
    return len(block.content) if isinstance(block, FileBlock) else len(block.uri) * 2


def _with_marker(text: str, dropped_bytes: int) -> str:
    return _joined(text, dropped_marker(dropped_bytes)) if dropped_bytes else text


def _joined(first: str, second: str) -> str:
    return f"{first}\n{second}" if first and second else first or second


def _reason(run: Run, limit_seconds: float) -> str:
    if run.outcome == "timeout":
        limit = f"CodeExecutionTimeoutException: stopped after the limit of {limit_seconds:g} seconds for this call"
        return f"{limit}. {run.note}" if run.note else limit
    if run.outcome == "canceled":
        return run.note or "The call was interrupted"
    return run.note


def _output_blocks(stdout: str, stderr: str) -> tuple[Block, ...]:
    blocks = tuple(TextBlock(text) for text in (stdout, stderr) if text)
    return blocks or (TextBlock(""),)  # clients print an empty list as []


def _uri_of_parent(directory: str) -> str:
    """What the URIs of a directory's entries begin with."""
    place = str(_in_workspace(directory))
    return "file:///" if place == "." else f"file:///{place}/"


def _link(parent: str, entry: Entry) -> LinkBlock:
    uri = parent + entry.name
    if entry.kind == "directory":
        return LinkBlock(uri=uri, name=entry.name, description="Directory")
    size = entry.size if entry.kind == "file" else None
    return LinkBlock(uri=uri, name=entry.name, description="File", mime_type=_mime_type_of_name(entry.name) or UNKNOWN_TYPE, size=size)


def _file_block(file: FileRead) -> FileBlock:
    data = file.data or b""
    try:
        content: str | bytes | bytearray = data.decode("utf-8")
    except UnicodeDecodeError:
        content = data
    return FileBlock(uri=file_uri(file.path), mime_type=_mime_type_of(file.path, data, is_text=isinstance(content, str)), content=content)


def _file_problem(file: FileRead, limit_bytes: int) -> str:
    if file.error == "missing":
        return f"{file.path}: no such file"
    if file.error == "not_regular":
        return f"{file.path}: not a regular file, so it was not opened"
    if file.error in ("", "too_large"):
        return (
            f"{file.path}: its {file.size} bytes do not fit in this answer, which carries at most {limit_bytes} bytes of files. "
            "Read it alone or in parts with executeCode, copy it to S3 from the session (aws s3 cp), "
            "or fetch it with the download stream of the Cellblock client."
        )
    if file.path in file.message:
        return file.message
    return f"{file.path}: {file.message or file.error.replace('_', ' ')}"


def _in_workspace(path: str) -> PurePosixPath:
    plain = PurePosixPath(posixpath.normpath(path))  # as the cell reads it
    return plain.relative_to(WORKSPACE) if plain.is_relative_to(WORKSPACE) else plain


def _mime_type_of(path: str, data: bytes | bytearray, *, is_text: bool) -> str:
    if known := _mime_type_of_name(path):
        return known
    for signature, mime_type in _SIGNATURES:
        if data.startswith(signature):
            return mime_type
    return "text/plain" if is_text else UNKNOWN_TYPE


def _mime_type_of_name(name: str) -> str | None:
    return _mime_type_of_ending(posixpath.splitext(name)[1])


@lru_cache(maxsize=1024)
def _mime_type_of_ending(ending: str) -> str | None:
    mime_type, compression = _MIME_TYPES.guess_type(f"./x{ending}", strict=True)  # "./" keeps a colon from making it a URL
    return f"application/{compression}" if compression else mime_type
