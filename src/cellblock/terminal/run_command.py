"""`cellblock run`: one piece of code in a cell of its own, files in, files and images out."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from mimetypes import guess_extension
from pathlib import Path, PurePosixPath

from cellblock.errors import CommandFailed
from cellblock.model.calls import Cell, FileToWrite, Image, ListFiles, Node, ReadFiles, Run, RunCode, ToolFailed, WriteFiles
from cellblock.model.languages import LANGUAGES
from cellblock.sessions.interpreter_limits import cell_limits
from cellblock.settings.table import Settings

READ_BYTES = 1024**3  # of one file; cells are bounded below that
TIMEOUT_STATUS = 124
INTERRUPTED_STATUS = 130


class JobFailed(CommandFailed):
    """A file could not be brought in or out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to run. Files that match a pattern and images are written into the directory."""

    code: str
    language: str
    uploads: tuple[Path, ...]
    patterns: tuple[str, ...]
    directory: Path


async def run_job(job: Job, node: Node, settings: Settings) -> int:
    """Run it and show what it printed; the code's exit status. Raises HostNotReady and JobFailed."""
    async with AsyncExitStack() as parts:
        parts.push_async_callback(node.close)
        await node.start()
        cell = await node.open_cell(cell_limits(settings))
        parts.push_async_callback(cell.close)
        await _upload(cell, job.uploads)
        run = await cell.call(_call(job, settings))
        _show(run)
        await asyncio.to_thread(_write_images, run.images, job.directory)
        await _save(cell, job)
        return TIMEOUT_STATUS if run.outcome == "timeout" else INTERRUPTED_STATUS if run.outcome == "canceled" else run.exit_code


def _call(job: Job, settings: Settings) -> RunCode:
    return RunCode(
        code=job.code,
        language=job.language,
        runtime=LANGUAGES[job.language].runtimes[0],
        clear_context=False,
        timeout_seconds=settings.call_timeout_seconds,
        output_bytes=settings.output_bytes,
    )


async def _upload(cell: Cell, uploads: tuple[Path, ...]) -> None:
    if not uploads:
        return
    try:
        files = tuple([FileToWrite(path.name, await asyncio.to_thread(path.read_bytes)) for path in uploads])
        await cell.call(WriteFiles(files))
    except (OSError, ToolFailed) as error:
        raise JobFailed(f"the files could not be uploaded: {error}") from error


def _show(run: Run) -> None:
    sys.stdout.buffer.write(run.stdout)
    sys.stdout.flush()
    sys.stderr.buffer.write(run.stderr if run.stderr.endswith(b"\n") or not run.stderr else run.stderr + b"\n")
    notes = [run.note] if run.note else []
    if run.outcome == "timeout":
        notes.insert(0, "stopped: it ran longer than CELLBLOCK_CALL_TIMEOUT_SECONDS allows")
    if run.dropped_bytes:
        notes.append(f"{run.dropped_bytes} bytes of output dropped: it is over CELLBLOCK_OUTPUT_MB")
    for note in notes:
        sys.stderr.write(f"cellblock: {note}\n")
    sys.stderr.flush()


def _write_images(images: tuple[Image, ...], directory: Path) -> None:
    for number, image in enumerate(images, start=1):
        path = directory / f"figure-{number}{guess_extension(image.mime_type) or '.bin'}"
        path.write_bytes(image.data)
        sys.stderr.write(f"cellblock: wrote {path.name}\n")


async def _save(cell: Cell, job: Job) -> None:
    wanted = [path for path in await _paths(cell, "") if _matches(path, job.patterns)] if job.patterns else []
    if job.patterns and not wanted:
        raise JobFailed(f"no file matches {' '.join(job.patterns)}")
    for path in wanted:
        (file,) = (await cell.call(ReadFiles(paths=(path,), limit_bytes=READ_BYTES))).files
        if file.data is None:
            raise JobFailed(_shown(f"{path} could not be saved: {file.message or file.error}"))
        await asyncio.to_thread(_write, _inside(job.directory, path), file.data)


async def _paths(cell: Cell, directory: str) -> list[str]:
    found: list[str] = []
    for entry in (await cell.call(ListFiles(directory))).entries:
        path = str(PurePosixPath(directory, entry.name))
        if entry.kind == "directory":
            found += await _paths(cell, path)
        elif entry.kind == "file":
            found.append(path)
    return found


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    """As in a shell, hidden names have to be asked for: the code must not choose to write a .bashrc of its own."""
    wanted = [pattern for pattern in patterns if _is_hidden(pattern)] if _is_hidden(path) else patterns
    return any(fnmatchcase(path, pattern) or fnmatchcase(PurePosixPath(path).name, pattern) for pattern in wanted)


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") and part != ".." for part in PurePosixPath(path).parts)


def _inside(directory: Path, path: str) -> Path:
    """Where a file of the cell is written; names come from the cell and may say anything."""
    target = directory / path
    if not target.resolve().is_relative_to(directory.resolve()):
        raise JobFailed(f"{path!r} would be written outside {directory}")
    return target


def _write(target: Path, data: bytes | bytearray) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    sys.stderr.write(f"cellblock: wrote {_shown(str(target))}\n")


def _shown(text: str) -> str:
    """Text with names from the cell in it: what a terminal would obey is spelled out."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
