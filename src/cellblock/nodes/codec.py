"""Calls to frames and frames to replies: every value from a cell is checked here before the host believes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from cellblock.model.base64_text import Base64Text
from cellblock.model.calls import (
    Call,
    Entry,
    EntryKind,
    FileFault,
    FileRead,
    FilesRead,
    FilesRemoved,
    FilesWritten,
    Follower,
    GetTask,
    Image,
    ListFiles,
    Listing,
    Outcome,
    ReadFiles,
    ReadStream,
    RemoveFiles,
    Reply,
    Run,
    RunCode,
    RunCommand,
    StartTask,
    StopTask,
    TaskStarted,
    TaskState,
    TaskStopped,
    WriteFiles,
    WriteStream,
)
from cellblock.model.results import TaskStatus
from cellblock_cell.link import Frame, Kind, LinkError, Meta, pieces

_MIB = 1024 * 1024
_IMAGES_BYTES = 9 * _MIB  # the agent sends at most 8
_IMAGES_LIMIT = 1000
_ENTRIES_LIMIT = 200_000  # the agent lists no more
_NAMES_LIMIT = 8 * _MIB  # characters of all names of a listing; the agent sends no more
_NAME_LIMIT = 255  # characters, of as many bytes or fewer
_TEXT_LIMIT = 64 * 1024
_ENTRY_KINDS = get_args(EntryKind)
_MIME_TYPES = ("image/png", "image/jpeg", "image/svg+xml", "image/gif", "image/webp")


@dataclass(slots=True)
class Collected:
    """What the DATA frames of one call have brought so far, never more than was asked for."""

    limit_bytes: int
    file_count: int = 0
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    images: dict[int, tuple[str, bytearray]] = field(default_factory=dict)
    files: dict[int, bytearray] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    total_bytes: int = 0
    names_length: int = 0
    follower: Follower | None = None

    def followed_by(self, follower: Follower) -> Collected:
        """Tell somebody about output while it comes."""
        follower.begin(self.stdout, self.stderr)
        self.follower = follower
        return self

    def add(self, frame: Frame) -> None:
        """Take one DATA frame; raises LinkError when it is not what this call may bring."""
        self.total_bytes += len(frame.body)
        if self.total_bytes > self.limit_bytes:
            raise LinkError(f"a call brought more than its {self.limit_bytes} bytes")
        meta = frame.meta
        if "stream" in meta:
            (self.stdout if _choice(meta, "stream", ("stdout", "stderr")) == "stdout" else self.stderr).extend(frame.body)
            if self.follower is not None:
                self.follower.more()
        elif "image" in meta:
            kind = _choice(meta, "mimeType", _MIME_TYPES)
            self.images.setdefault(_integer(meta, "image", limit=_IMAGES_LIMIT), (kind, bytearray()))[1].extend(frame.body)
        elif "file" in meta:
            self.files.setdefault(_integer(meta, "file", limit=self.file_count), bytearray()).extend(frame.body)
        else:
            self._add_entries(meta)

    def _add_entries(self, meta: Meta) -> None:
        for item in _items(meta, "entries"):
            kind = cast(EntryKind, _choice(item, "kind", _ENTRY_KINDS))
            name = _text(item, "name")
            if len(name) > _NAME_LIMIT:
                raise LinkError("a name longer than a file can have")
            self.names_length += len(name)
            self.entries.append(Entry(name, kind, _integer(item, "size")))
        if len(self.entries) > _ENTRIES_LIMIT or self.names_length > _NAMES_LIMIT:
            raise LinkError("a listing without end")


def expect(call: Call[Any]) -> Collected:
    """An empty collection with the bound that fits the call."""
    if isinstance(call, RunCode | RunCommand):
        return Collected(call.output_bytes + _IMAGES_BYTES)
    if isinstance(call, ReadFiles):
        return Collected(call.limit_bytes, file_count=len(call.paths))
    return Collected(64 * _MIB if isinstance(call, GetTask) else 0)


def call_meta(call: Call[Any]) -> Meta:
    """The CALL frame's object for a request."""
    tool, arguments = _ENCODERS[type(call)](call)
    arguments["tool"] = tool
    return cast(Meta, arguments)


def uploads(call: Call[Any], number: int) -> Iterator[Frame]:
    """The frames that follow the CALL: contents of files, then the end."""
    if not isinstance(call, WriteFiles):
        return
    for index, file in enumerate(call.files):
        for piece in _pieces(file.data):
            yield Frame(Kind.DATA, number, {"file": index}, piece)
    yield Frame(Kind.END, number)


def _pieces(data: bytes | Base64Text) -> Iterator[bytes | memoryview]:
    return data.pieces() if isinstance(data, Base64Text) else pieces(data)


_ENCODERS: dict[type, Callable[[Any], tuple[str, dict[str, Any]]]] = {
    RunCode: lambda c: ("run_code", {name: getattr(c, name) for name in RunCode.__dataclass_fields__}),
    RunCommand: lambda c: ("run_command", {name: getattr(c, name) for name in RunCommand.__dataclass_fields__}),
    StartTask: lambda c: ("start_task", {"command": c.command, "output_bytes": c.output_bytes}),
    GetTask: lambda c: ("get_task", {"task_id": c.task_id}),
    StopTask: lambda c: ("stop_task", {"task_id": c.task_id}),
    WriteFiles: lambda c: ("write_files", {"files": [{"path": f.path, "size": len(f.data)} for f in c.files]}),
    WriteStream: lambda c: ("write_files", {"files": [{"path": c.path, "size": -1 if c.size is None else c.size}]}),
    ReadStream: lambda c: ("read_stream", {"path": c.path}),
    ReadFiles: lambda c: ("read_files", {"paths": list(c.paths), "limit_bytes": c.limit_bytes}),
    ListFiles: lambda c: ("list_files", {"path": c.path}),
    RemoveFiles: lambda c: ("remove_files", {"paths": list(c.paths)}),
}


def reply(call: Call[Any], meta: Meta, collected: Collected) -> Reply:
    """The reply that a RESULT frame completes; raises LinkError when it is not one to this call."""
    return _DECODERS[type(call)](call, meta, collected)


def _run(call: Call[Any], meta: Meta, collected: Collected) -> Run:
    return Run(
        stdout=bytes(collected.stdout),
        stderr=bytes(collected.stderr),
        exit_code=_integer(meta, "exit_code", lowest=-255),
        seconds=_number(meta, "seconds"),
        dropped_bytes=_integer(meta, "dropped_bytes"),
        outcome=cast(Outcome, _choice(meta, "outcome", get_args(Outcome))),
        note=_text(meta, "note"),
        images=tuple(Image(kind, bytes(data)) for _, (kind, data) in sorted(collected.images.items())),
    )


def _task_state(call: Call[Any], meta: Meta, collected: Collected) -> TaskState:
    return TaskState(
        status=_status(meta),
        stdout=bytes(collected.stdout),
        stderr=bytes(collected.stderr),
        exit_code=None if meta.get("exit_code") is None else _integer(meta, "exit_code", lowest=-255),
        seconds=_number(meta, "seconds"),
        dropped_bytes=_integer(meta, "dropped_bytes"),
    )


def _files_read(call: ReadFiles, meta: Meta, collected: Collected) -> FilesRead:
    items = _items(meta, "files")
    if len(items) != len(call.paths):
        raise LinkError(f"{len(call.paths)} files were asked for and {len(items)} answered")
    return FilesRead(tuple(_file_read(call.paths[index], item, collected.files.get(index)) for index, item in enumerate(items)))


def _file_read(path: str, item: Meta, data: bytearray | None) -> FileRead:
    fault = cast(FileFault, _choice(item, "error", get_args(FileFault)))
    content = None if fault else data or b""
    return FileRead(path=path, data=content, size=_integer(item, "size"), error=fault, message=_text(item, "message"))


def _removed(call: Call[Any], meta: Meta, collected: Collected) -> FilesRemoved:
    missing = tuple(_clean(str(path)) for path in _list(meta, "missing"))
    failed = tuple((_text(item, "path"), _text(item, "message")) for item in _items(meta, "failed"))
    return FilesRemoved(_integer(meta, "removed"), missing, failed)


_DECODERS: dict[type, Callable[[Any, Meta, Collected], Reply]] = {
    RunCode: _run,
    RunCommand: _run,
    StartTask: lambda c, m, d: TaskStarted(_text(m, "task_id")),
    GetTask: _task_state,
    StopTask: lambda c, m, d: TaskStopped(m.get("stopped") is True, _status(m)),
    WriteFiles: lambda c, m, d: FilesWritten(_integer(m, "count")),
    WriteStream: lambda c, m, d: FilesWritten(_integer(m, "count")),
    ReadFiles: _files_read,
    ListFiles: lambda c, m, d: Listing(tuple(d.entries)),
    RemoveFiles: _removed,
}


def failure(meta: Meta) -> tuple[str, str] | None:
    """(kind, message) when a RESULT says that the tool itself failed."""
    error = meta.get("error")
    if error is None:
        return None
    if not isinstance(error, dict):
        raise LinkError("error is not an object")
    return _text(cast(Meta, error), "kind"), _text(cast(Meta, error), "message")


def _status(meta: Meta) -> TaskStatus:
    return cast(TaskStatus, _choice(meta, "status", get_args(TaskStatus)))


def _typed(meta: Meta, name: str, kinds: tuple[type, ...]) -> Any:
    value = meta.get(name)
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise LinkError(f"{name} is missing or of the wrong type")
    return value


def _integer(meta: Meta, name: str, *, lowest: int = 0, limit: int = 1 << 53) -> int:
    value: int = _typed(meta, name, (int,))
    if not lowest <= value < limit:
        raise LinkError(f"{name} is out of range")
    return value


def _number(meta: Meta, name: str) -> float:
    value: float = _typed(meta, name, (int, float))
    if not 0 <= value < 1e9:
        raise LinkError(f"{name} is out of range")
    return float(value)


def _text(meta: Meta, name: str) -> str:
    return _clean(_typed(meta, name, (str,)))


def _clean(text: str) -> str:
    """JSON can spell halves of surrogate pairs, which are no text that could be sent on."""
    cut = text[:_TEXT_LIMIT]
    return cut if cut.isascii() else cut.encode("utf-8", "replace").decode()


def _choice(meta: Meta, name: str, allowed: tuple[str, ...]) -> str:
    value = meta.get(name)
    if value not in allowed:
        raise LinkError(f"{name} is none of {', '.join(allowed)}")
    return str(value)


def _list(meta: Meta, name: str) -> list[Any]:
    value: list[Any] = _typed(meta, name, (list,))
    return value


def _items(meta: Meta, name: str) -> list[Meta]:
    items = _list(meta, name)
    if not all(isinstance(item, dict) for item in items):
        raise LinkError(f"{name} holds something that is not an object")
    return items
