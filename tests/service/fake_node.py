"""A node in memory: cells whose replies a test can script, for the parts above cells."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

from cellblock.errors import CellEnded, HostNotReady
from cellblock.model.calls import (
    NO_GRANTS,
    Call,
    CellLimits,
    CellUsage,
    Entry,
    FileRead,
    FilesRead,
    FilesRemoved,
    FilesWritten,
    Follower,
    GetTask,
    Grants,
    ListFiles,
    Listing,
    MemoryUse,
    NodeState,
    ReadFiles,
    RemoveFiles,
    ReplyT,
    Run,
    RunCode,
    RunCommand,
    StartTask,
    StopTask,
    TaskStarted,
    TaskState,
    TaskStopped,
    ToolFailed,
    WriteFiles,
)

Script = Callable[["FakeCell", Call[Any]], Awaitable[Any]]


@dataclass(eq=False)
class FakeCell:
    """Implements cellblock.model.calls.Cell: keeps files in a dictionary, "runs" code by the node's scripts."""

    name: str
    node: FakeNode
    files: dict[str, bytes] = field(default_factory=dict)
    tasks: dict[str, TaskState] = field(default_factory=dict)
    calls: list[Call[Any]] = field(default_factory=list)
    is_closed: bool = False
    cancelled: int = 0
    warmed_up: int = 0
    cpu_used: float = 0.0
    memory_used: MemoryUse = field(default_factory=lambda: MemoryUse(0, 0))

    def __post_init__(self) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def call(self, request: Call[ReplyT]) -> ReplyT:
        if self.ended.done():
            raise CellEnded(self.ended.result())
        self.calls.append(request)
        work = asyncio.ensure_future(self.node.answer(self, request))
        try:
            await asyncio.wait({work, self.ended}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self.cancelled += 1
            work.cancel()
            raise
        if not work.done():
            work.cancel()
            raise CellEnded(self.ended.result())
        return cast("ReplyT", work.result())

    async def warm_up(self) -> None:
        self.warmed_up += 1

    def cpu_seconds(self) -> float:
        return self.cpu_used

    def memory(self) -> MemoryUse | None:
        return None if self.is_closed else self.memory_used

    def usage(self) -> CellUsage | None:
        return None if self.is_closed else CellUsage(cpu_seconds=0.25 * len(self.calls), memory_bytes=10 * 1024 * 1024, process_count=2)

    async def follow(self, request: Call[ReplyT], follower: Follower) -> ReplyT:
        follower.begin(bytearray(b"one\nso far\n"), bytearray())
        return await self.call(request)

    async def close(self) -> None:
        self.is_closed = True
        self.node.open_cells.discard(self)
        self.die("closed")

    async def wait_ended(self) -> str:
        return await asyncio.shield(self.ended)

    def die(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)


class FakeNode:
    """Implements cellblock.model.calls.Node."""

    def __init__(self) -> None:
        self.cells: list[FakeCell] = []
        self.open_cells: set[FakeCell] = set()
        self.scripts: dict[str, Script] = {}  # by the code or command of the call
        self.is_broken = False
        self.is_closed = False
        self._numbers = itertools.count(1)

    async def start(self) -> None:
        return

    async def close(self) -> None:
        self.is_closed = True
        for cell in list(self.open_cells):
            await cell.close()

    def state(self) -> NodeState:
        return NodeState(None, "none")

    async def open_cell(self, limits: CellLimits, grants: Grants = NO_GRANTS) -> FakeCell:
        if self.is_broken:
            raise HostNotReady("this node was told to be broken")
        cell = FakeCell(f"cell-{next(self._numbers)}", self)
        self.cells.append(cell)
        self.open_cells.add(cell)
        return cell

    async def answer(self, cell: FakeCell, request: Call[Any]) -> Any:
        text = getattr(request, "code", "") or getattr(request, "command", "")
        if text in self.scripts:
            return await self.scripts[text](cell, request)
        return _answer(cell, request)


def done(stdout: str | bytes = "", *, stderr: str | bytes = "", exit_code: int = 0, **more: Any) -> Run:
    """A run that ended."""
    raw_stdout = stdout.encode() if isinstance(stdout, str) else stdout
    raw_stderr = stderr.encode() if isinstance(stderr, str) else stderr
    return Run(stdout=raw_stdout, stderr=raw_stderr, exit_code=exit_code, seconds=0.0125, **more)


def _answer(cell: FakeCell, request: Call[Any]) -> Any:
    match request:
        case RunCode():
            return done(f"{request.code}\n")
        case RunCommand():
            return done(f"$ {request.command}\n")
        case StartTask() | GetTask() | StopTask():
            return _task_answer(cell, request)
        case _:
            return _file_answer(cell, request)


def _task_answer(cell: FakeCell, request: Call[Any]) -> Any:
    if isinstance(request, StartTask):
        task_id = str(uuid4())
        cell.tasks[task_id] = TaskState(status="working", stdout=b"so far\n", stderr=b"", exit_code=None, seconds=0.5)
        return TaskStarted(task_id)
    if request.task_id not in cell.tasks:
        raise ToolFailed("task_not_found", f"there is no task {request.task_id}")
    task = cell.tasks[request.task_id]
    if isinstance(request, GetTask):
        return task
    is_working = task.status == "working"
    return TaskStopped(is_working, "canceled" if is_working else task.status)


def _file_answer(cell: FakeCell, request: Call[Any]) -> Any:
    match request:
        case WriteFiles():
            cell.files.update({file.path: bytes(file.data) for file in request.files})
            return FilesWritten(len(request.files))
        case ReadFiles():
            return FilesRead(tuple(_read(cell, path) for path in request.paths))
        case ListFiles():
            return Listing(tuple(Entry(path, "file", len(data)) for path, data in sorted(cell.files.items())))
        case RemoveFiles():
            missing = tuple(path for path in request.paths if cell.files.pop(path, None) is None)
            return FilesRemoved(len(request.paths) - len(missing), missing)
    raise AssertionError(request)


def _read(cell: FakeCell, path: str) -> FileRead:
    data = cell.files.get(path)
    if data is None:
        return FileRead(path=path, data=None, size=0, error="missing", message="no such file")
    return FileRead(path=path, data=data, size=len(data))
