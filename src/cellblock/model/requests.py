"""What clients ask for: the input of each operation, checked and in our words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from cellblock.model.base64_text import Base64Text
from cellblock.model.resources import InterpreterKind, JsonObject, NetworkMode, SessionState

ToolName = Literal[
    "executeCode",
    "executeCommand",
    "readFiles",
    "listFiles",
    "removeFiles",
    "writeFiles",
    "startCommandExecution",
    "getTask",
    "stopTask",
]
Language = Literal["python", "javascript", "typescript"]
LanguageRuntime = Literal["nodejs", "deno", "python"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateInterpreter:
    """Make an interpreter."""

    name: str
    network_configuration: JsonObject
    description: str | None = None
    role_arn: str | None = None
    certificates: tuple[JsonObject, ...] | None = None
    filesystems: tuple[JsonObject, ...] | None = None
    tags: dict[str, str] | None = None
    client_token: str | None = None

    @property
    def network_mode(self) -> NetworkMode:
        """The one part of the network configuration that the service acts on."""
        return cast("NetworkMode", self.network_configuration["networkMode"])


@dataclass(frozen=True, slots=True, kw_only=True)
class GetInterpreter:
    """Describe an interpreter."""

    interpreter_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListInterpreters:
    """Page through the account's interpreters and the built-in one."""

    max_results: int | None = None
    next_token: str | None = None
    kind: InterpreterKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteInterpreter:
    """Delete an interpreter that has no live session."""

    interpreter_id: str
    client_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSession:
    """Start a session of an interpreter."""

    interpreter_id: str
    name: str | None = None
    description: str | None = None
    timeout_seconds: int | None = None
    certificates: tuple[JsonObject, ...] | None = None
    filesystems: tuple[JsonObject, ...] | None = None
    client_token: str | None = None
    trace_id: str | None = None
    trace_parent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSession:
    """End a session."""

    interpreter_id: str
    session_id: str
    client_token: str | None = None
    trace_id: str | None = None
    trace_parent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetSession:
    """Describe a session, ended ones too."""

    interpreter_id: str
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSessions:
    """Page through an interpreter's sessions."""

    interpreter_id: str
    max_results: int | None = None
    next_token: str | None = None
    status: SessionState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A file of writeFiles: text or bytes; whether exactly one is given is for the tool to check."""

    path: str
    text: str | None = None
    blob: bytes | Base64Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolArguments:
    """The arguments of all tools; None is absent. Which of them a tool needs is for the tool to check."""

    code: str | None = None
    language: Language | None = None
    runtime: LanguageRuntime | None = None
    clear_context: bool | None = None
    command: str | None = None
    path: str | None = None
    directory_path: str | None = None
    paths: tuple[str, ...] | None = None
    content: tuple[InputFile, ...] | None = None
    task_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoke:
    """Use a tool in a session.

    `invocation_id` is equal in the retries of one call. It and the trace's headers are not signed by botocore:
    use it only together with the key, the session and the body's digest.
    """

    interpreter_id: str
    session_id: str
    tool: ToolName
    arguments: ToolArguments = ToolArguments()
    invocation_id: str | None = None
    trace_id: str | None = None
    trace_parent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInSession:
    """A file of a session, sent or fetched as a stream beside the API. The path is checked in the cell."""

    interpreter_id: str
    session_id: str
    path: str


OperationRequest = (
    CreateInterpreter
    | GetInterpreter
    | ListInterpreters
    | DeleteInterpreter
    | StartSession
    | StopSession
    | GetSession
    | ListSessions
    | Invoke
)
