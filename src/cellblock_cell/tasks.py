"""Tasks: commands that outlive the call that started them, with their output kept until it is asked for."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Literal

from cellblock_cell.call import Call, ToolError
from cellblock_cell.children import End
from cellblock_cell.commands import Shell
from cellblock_cell.link import Frame, Kind, Meta, pieces
from cellblock_cell.output import Budget, Stream
from cellblock_cell.run import GRACE_SECONDS
from cellblock_cell.workbench import Workbench

WORKING_LIMIT = 64
FINISHED_LIMIT = 100
OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024  # of all tasks together; it is the agent's memory

Status = Literal["working", "completed", "failed", "canceled"]


class Task:
    """One command and what it printed."""

    def __init__(self, call: Call) -> None:
        self.id = str(uuid.uuid4())
        self.status: Status = "working"
        self.exit_code: int | None = None
        self.budget = Budget(call.integer("output_bytes"))
        self.output: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self.shell: Shell | None = None
        self.waiting: list[int] = []  # numbers of stop_task calls
        self._started = time.monotonic()
        self._seconds: float | None = None

    @property
    def size(self) -> int:
        """Bytes of output that are kept."""
        return sum(len(data) for data in self.output.values())

    @property
    def seconds(self) -> float:
        """For how long it ran, or has run."""
        return time.monotonic() - self._started if self._seconds is None else self._seconds

    def finish(self, end: End) -> None:
        """The shell has ended."""
        self._seconds = self.seconds
        self.shell = None
        self.exit_code = end.exit_code
        if self.waiting:
            self.status = "canceled"
        else:
            self.status = "completed" if end.exit_code == 0 else "failed"

    def state(self) -> Meta:
        """What get_task tells beside the output."""
        return {"status": self.status, "exit_code": self.exit_code, "seconds": self.seconds, "dropped_bytes": self.budget.dropped_bytes}


class Tasks:
    """All tasks of a cell: those at work, and the newest of the finished ones."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._tasks: dict[str, Task] = {}  # in the order they were started
        self._kept_bytes = 0

    def start(self, call: Call) -> Meta:
        """Start a command. Raises ToolError."""
        if sum(task.status == "working" for task in self._tasks.values()) >= WORKING_LIMIT:
            raise ToolError("too_many_tasks", f"{WORKING_LIMIT} tasks are running; stop one or wait for one to finish")
        task = Task(call)
        task.shell = Shell(
            self._bench,
            call.text("command"),
            sink=lambda stream, data: self._keep(task, stream, data),
            on_end=lambda end: self._ended(task, end),
        )
        self._tasks[task.id] = task
        return {"task_id": task.id}

    def get(self, call: Call) -> Iterator[Frame]:
        """The output so far as frames, then the state. Raises ToolError at once."""
        task = self._find(call)
        state = task.state()
        output: list[tuple[Stream, bytes]] = [(stream, bytes(data)) for stream, data in task.output.items()]
        return _frames(call.number, output, state)

    def stop(self, call: Call) -> Meta | None:
        """The answer for a task that is over; for one at work None, and the answer follows when it is dead. Raises ToolError."""
        task = self._find(call)
        if task.shell is None:
            return {"stopped": False, "status": task.status}
        task.waiting.append(call.number)
        if len(task.waiting) == 1:
            task.shell.stop()
            self._bench.loop.call_after(GRACE_SECONDS, lambda: task.shell.kill() if task.shell else None)
        return None

    def _find(self, call: Call) -> Task:
        task = self._tasks.get(call.text("task_id"))
        if task is None:
            raise ToolError("task_not_found", f"there is no task {call.text('task_id')}")
        return task

    def _keep(self, task: Task, stream: Stream, data: bytes) -> None:
        kept = task.budget.take(data)
        self._forget_finished(room_bytes=len(kept))
        fitting = kept[: max(0, OUTPUT_LIMIT_BYTES - self._kept_bytes)]
        task.budget.dropped_bytes += len(kept) - len(fitting)
        task.output[stream] += fitting
        self._kept_bytes += len(fitting)

    def _ended(self, task: Task, end: End) -> None:
        task.finish(end)
        for number in task.waiting:
            self._bench.link.send(Frame(Kind.RESULT, number, {"stopped": True, "status": task.status}))
        self._forget_finished()

    def _forget_finished(self, *, room_bytes: int = 0) -> None:
        """Forget the oldest finished tasks while there are too many, or too little room."""
        finished = [task for task in self._tasks.values() if task.status != "working"]
        for task in finished:
            if len(finished) <= FINISHED_LIMIT and self._kept_bytes + room_bytes <= OUTPUT_LIMIT_BYTES:
                return
            finished = finished[1:]
            self._kept_bytes -= task.size
            del self._tasks[task.id]


def _frames(number: int, output: list[tuple[Stream, bytes]], state: Meta) -> Iterator[Frame]:
    for stream, data in output:
        for piece in pieces(data):
            yield Frame(Kind.DATA, number, {"stream": stream}, piece)
    yield Frame(Kind.RESULT, number, state)
