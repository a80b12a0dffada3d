"""The structured content of each tool's result; the output schemas that clients are shown are made from these."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

KEPT = "Files in the workspace with the whole output, where it was too long to be shown here."


class RunOutput(BaseModel):
    """How code or a command ended."""

    stdout: str
    stderr: str
    exit_code: Annotated[int | None, Field(description="0 when all went well.")] = None
    seconds: Annotated[float | None, Field(description="How long it ran.")] = None
    kept_files: Annotated[list[str], Field(description=KEPT)] = []


class TaskOutput(RunOutput):
    """How a task does."""

    task_id: str
    status: Literal["submitted", "working", "completed", "failed", "canceled"]


class FilesWritten(BaseModel):
    """What write_files did."""

    written: list[str]


class FilesRemoved(BaseModel):
    """What remove_files was asked to remove, and has removed unless the result is an error."""

    removed: list[str]


class FileShown(BaseModel):
    """A file of read_files; its content is in the result's content."""

    path: str
    mime_type: str | None
    size: Annotated[int, Field(description="In bytes.")]
    is_whole: Annotated[bool, Field(description="False when only a part of it is shown, or nothing.")]


class FilesRead(BaseModel):
    """The files that were there."""

    files: list[FileShown]


class Entry(BaseModel):
    """A name in a directory."""

    path: str
    kind: Literal["file", "directory"]
    size: Annotated[int | None, Field(description="In bytes; none for a directory.")] = None


class Listing(BaseModel):
    """One level of a directory."""

    entries: list[Entry]
    left_out: Annotated[int, Field(description="Entries that are there and too many to be shown.")] = 0
