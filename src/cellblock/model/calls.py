"""What the host asks of a cell, what the cell answers, and the shape of cells and nodes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar

from cellblock.model.base64_text import Base64Text
from cellblock.model.network_grants import NO_NETWORK, NetworkGrant
from cellblock.model.results import TaskStatus

Outcome = Literal["done", "timeout", "canceled", "killed"]
EntryKind = Literal["file", "directory", "other"]
FileFault = Literal["", "missing", "not_regular", "too_large", "bad_path", "denied"]

ReplyT = TypeVar("ReplyT")


class ToolFailed(Exception):
    """A tool could not do what the user asked; the user's business, not a fault of the service."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Call(Generic[ReplyT]):
    """One request to a cell; its parameter is the type of the reply."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that the code showed."""

    mime_type: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How code or a command ended, with what it printed."""

    stdout: bytes
    stderr: bytes
    exit_code: int
    seconds: float
    dropped_bytes: int = 0
    outcome: Outcome = "done"
    note: str = ""  # a sentence for the user: why the kernel died, that variables are lost
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCode(Call[Run]):
    """Run code in the kernel of a language; variables stay for the next call."""

    code: str
    language: str
    runtime: str
    clear_context: bool
    timeout_seconds: float
    output_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommand(Call[Run]):
    """Run a shell command and wait for its shell."""

    command: str
    timeout_seconds: float
    output_bytes: int


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """The id under which a task is asked about."""

    task_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTask(Call[TaskStarted]):
    """Start a shell command that outlives the call."""

    command: str
    output_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """A task and all that it printed so far; `exit_code` is None while it works."""

    status: TaskStatus
    stdout: bytes
    stderr: bytes
    exit_code: int | None
    seconds: float
    dropped_bytes: int = 0


@dataclass(frozen=True, slots=True)
class GetTask(Call[TaskState]):
    """Ask how a task does."""

    task_id: str


@dataclass(frozen=True, slots=True)
class TaskStopped:
    """Whether the task was ended by this call, and its status."""

    stopped: bool
    status: TaskStatus


@dataclass(frozen=True, slots=True)
class StopTask(Call[TaskStopped]):
    """End a task and its processes."""

    task_id: str


@dataclass(frozen=True, slots=True)
class FileToWrite:
    """A file for the workspace."""

    path: str
    data: bytes | Base64Text


@dataclass(frozen=True, slots=True)
class FilesWritten:
    """How many files a batch wrote."""

    count: int


@dataclass(frozen=True, slots=True)
class WriteFiles(Call[FilesWritten]):
    """Write a batch of files, all or none."""

    files: tuple[FileToWrite, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteStream(Call[FilesWritten]):
    """Write one file as its pieces come. `size` is None when only the last piece tells; what `pieces` raises cancels the call."""

    path: str
    size: int | None
    pieces: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class FileStreamed:
    """All of a file has left the cell."""

    size: int


@dataclass(frozen=True, slots=True)
class ReadStream(Call[FileStreamed]):
    """Open one file to be read in pieces."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRead:
    """One file of a batch; `data` is None when `error` says why it could not be read."""

    path: str
    data: bytes | bytearray | None
    size: int
    error: FileFault = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class FilesRead:
    """The files of a batch in the order they were asked for."""

    files: tuple[FileRead, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFiles(Call[FilesRead]):
    """Read files; one that would pass `limit_bytes` in all is not sent but named as too large."""

    paths: tuple[str, ...]
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a directory."""

    name: str
    kind: EntryKind
    size: int


@dataclass(frozen=True, slots=True)
class Listing:
    """A directory's entries, sorted by name."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class ListFiles(Call[Listing]):
    """List one level of a directory; the empty path is the workspace."""

    path: str


@dataclass(frozen=True, slots=True)
class FilesRemoved:
    """What a removal did; `failed` holds pairs of path and reason."""

    removed: int
    missing: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RemoveFiles(Call[FilesRemoved]):
    """Remove files and whole directories."""

    paths: tuple[str, ...]


Request = (
    RunCode | RunCommand | StartTask | GetTask | StopTask | WriteFiles | WriteStream | ReadStream | ReadFiles | ListFiles | RemoveFiles
)
Reply = Run | TaskStarted | TaskState | TaskStopped | FilesWritten | FileStreamed | FilesRead | Listing | FilesRemoved


class Follower(Protocol):
    """Who reads what a run prints while it runs, in the run's own buffers."""

    def begin(self, stdout: bytearray, stderr: bytearray) -> None:
        """The run's buffers, which only grow."""
        ...

    def more(self) -> None:
        """They have grown."""
        ...


class Download(Protocol):
    """A file that leaves a cell as fast as it is read."""

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """All of it, once. Raises ToolFailed when it became shorter meanwhile, and CellEnded."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CellLimits:
    """What one cell may use."""

    memory_bytes: int
    process_count: int
    cpus: float
    workspace_bytes: int
    tmp_bytes: int
    network: NetworkGrant = NO_NETWORK


@dataclass(frozen=True, slots=True, kw_only=True)
class CellUsage:
    """What the processes of one cell have used together: CPU time since its start, memory and processes at this moment."""

    cpu_seconds: float
    memory_bytes: int
    process_count: int


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Memory of one cell at this moment, and the most there was since its start: 0 where the host does not say."""

    now_bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A directory of the host that a cell sees below /mnt."""

    name: str
    directory: Path
    read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """What one session has beside its limits; certificates are a whole bundle in PEM."""

    session_id: str = ""
    role_arn: str = ""
    certificates: str = ""
    mounts: tuple[Mount, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether a cell like any other will do."""
        return not (self.role_arn or self.certificates or self.mounts)


NO_GRANTS = Grants()


class Callee(Protocol):
    """What the tools need of a cell."""

    async def call(self, request: Call[ReplyT]) -> ReplyT:
        """Do one call. Raises ToolFailed or CellEnded; when cancelled, interrupts the run and waits a bounded time for its end."""
        ...


class Cell(Callee, Protocol):
    """A sandbox with one session's processes and files."""

    @property
    def name(self) -> str:
        """Unique on its node."""
        ...

    async def follow(self, request: Call[ReplyT], follower: Follower) -> ReplyT:
        """As `call`, while somebody reads what is printed."""
        ...

    async def warm_up(self) -> None:
        """Have a cell that waits for its session run nothing, so that its first call is as quick as a later one."""
        ...

    def download(self, path: str) -> AbstractAsyncContextManager[Download]:
        """An open file of the workspace. Raises ToolFailed and CellEnded."""
        ...

    def cpu_seconds(self) -> float:
        """CPU time that all its processes have used, exact after `close` too. Cheap enough for the event loop."""
        ...

    def memory(self) -> MemoryUse | None:
        """What its processes and files hold; after its end the peak alone, or None. Not for the event loop while it lives."""
        ...

    def usage(self) -> CellUsage | None:
        """What it has used and uses, by the host's own figures; None when it has ended. Reads some files: not for the event loop."""
        ...

    async def close(self) -> None:
        """Kill what is in the cell and wait until nothing is left; may be called again."""
        ...

    async def wait_ended(self) -> str:
        """Wait until the cell has died or was closed; the reason."""
        ...


@dataclass(frozen=True, slots=True)
class NodeState:
    """How a machine that runs cells is at this moment; `limits` names the means that hold them."""

    template_pid: int | None
    limits: str


class Node(Protocol):
    """A machine that runs cells."""

    async def start(self) -> None:
        """Get ready to open cells. Raises HostNotReady."""
        ...

    async def close(self) -> None:
        """Close every cell and let go of what the node holds."""
        ...

    def state(self) -> NodeState:
        """How it is at this moment."""
        ...

    async def open_cell(self, limits: CellLimits, grants: Grants = NO_GRANTS) -> Cell:
        """A cell that has run nothing yet; the caller closes it. Raises HostNotReady."""
        ...
