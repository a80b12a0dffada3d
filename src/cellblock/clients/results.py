"""What a session answers, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

FILE_URI = "file:///"


class ClientError(Exception):
    """What can go wrong between this program and its session."""


class ServiceError(ClientError):
    """The server refused a request; `code` is AWS's name for why."""

    def __init__(self, code: str, message: str, *, status: int = 0, request_id: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.request_id = request_id


class ConnectionFailed(ClientError):
    """The server could not be reached, or the connection broke before the answer was whole."""


class RunFailed(ClientError):
    """Code, a command or a tool failed; `result` is all that it said."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.error or result.text)
        self.result = result


@dataclass(frozen=True, slots=True)
class Output:
    """A piece of what code or a command prints, while it runs."""

    stream: Literal["stdout", "stderr"]
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that code showed."""

    mime_type: str
    data: bytes

    def save(self, path: str | Path) -> Path:
        """Write it to a file."""
        target = Path(path)
        target.write_bytes(self.data)
        return target

    def _repr_mimebundle_(self, **_: Any) -> dict[str, bytes]:
        """Notebooks show it."""
        return {self.mime_type: self.data}


@dataclass(frozen=True, slots=True)
class File:
    """A file's content, as the tool readFiles returns it."""

    path: str
    mime_type: str
    data: bytes

    @property
    def text(self) -> str:
        """The content as UTF-8."""
        return self.data.decode()


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in a directory; `size` is None for what is no plain file."""

    path: str
    name: str
    is_directory: bool
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a tool answered. `text` is what a reader is shown: output, then the value of a last expression, then what went wrong."""

    text: str
    stdout: str = ""
    stderr: str = ""
    exit_code: int | None = None
    seconds: float | None = None
    images: tuple[Image, ...] = ()
    files: tuple[File, ...] = ()
    entries: tuple[Entry, ...] = ()
    task_id: str | None = None
    task_status: str | None = None
    is_error: bool = False

    @property
    def error(self) -> str | None:
        """What went wrong; None when nothing did."""
        if not self.is_error and not self.exit_code:
            return None
        return self.stderr or self.text or f"exit code {self.exit_code}"

    def raise_for_error(self) -> Self:
        """Raises RunFailed when something went wrong; itself when not."""
        if self.error is not None:
            raise RunFailed(self)
        return self

    def __str__(self) -> str:
        """As `text`, so that it can be printed."""
        return self.text


def result_of(members: Mapping[str, Any], blob: Any) -> Result:
    """A result from the API's members; `blob` decodes what JSON has as text."""
    blocks = members.get("content", [])
    structured = members.get("structuredContent", {})
    return Result(
        text="\n".join(block["text"] for block in blocks if block["type"] == "text"),
        stdout=structured.get("stdout", ""),
        stderr=structured.get("stderr", ""),
        exit_code=structured.get("exitCode"),
        seconds=structured.get("executionTime"),
        images=tuple(Image(block["mimeType"], blob(block["data"])) for block in blocks if block["type"] == "image"),
        files=tuple(_file(block["resource"], blob) for block in blocks if block["type"] == "resource"),
        entries=tuple(_entry(block) for block in blocks if block["type"] == "resource_link"),
        task_id=structured.get("taskId"),
        task_status=structured.get("taskStatus"),
        is_error=members.get("isError", False),
    )


def _file(resource: Mapping[str, Any], blob: Any) -> File:
    data = resource["text"].encode() if "text" in resource else blob(resource["blob"])
    return File(resource["uri"].removeprefix(FILE_URI), resource.get("mimeType", ""), data)


def _entry(link: Mapping[str, Any]) -> Entry:
    return Entry(link["uri"].removeprefix(FILE_URI), link["name"], link["description"] == "Directory", link.get("size"))
