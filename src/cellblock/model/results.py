"""What a tool answers: blocks for the reader, and the structured content of code, commands and tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TaskStatus = Literal["submitted", "working", "completed", "failed", "canceled"]


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Text to read."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBlock:
    """A picture that code showed."""

    data: bytes
    mime_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBlock:
    """A file's content: `text` when it is UTF-8, else `blob`."""

    uri: str
    mime_type: str | None
    content: str | bytes | bytearray


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkBlock:
    """A name in a directory; `size` only for files."""

    uri: str
    name: str
    description: Literal["File", "Directory"]
    mime_type: str | None = None
    size: int | None = None


Block = TextBlock | ImageBlock | FileBlock | LinkBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class Structured:
    """How code, a command or a task ended; None is absent. `execution_time` is in seconds."""

    stdout: str
    stderr: str
    exit_code: int | None = None
    execution_time: float | None = None
    task_id: str | None = None
    task_status: TaskStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """The one result event of a call."""

    content: tuple[Block, ...]
    structured: Structured | None = None
    is_error: bool = False
