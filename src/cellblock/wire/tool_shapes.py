"""The shapes of InvokeCodeInterpreter: the tools' arguments, and the stream of their results."""

from __future__ import annotations

from cellblock.model.requests import InputFile, ToolArguments
from cellblock.wire.members import LONG_TEXT
from cellblock.wire.shapes import Blob, Boolean, Double, Integer, List, Member, Structure, Text

TOOL_NAME = Text(
    enum=(
        "executeCode",
        "executeCommand",
        "readFiles",
        "listFiles",
        "removeFiles",
        "writeFiles",
        "startCommandExecution",
        "getTask",
        "stopTask",
    )
)
INPUT_FILE = Structure(
    (
        Member("path", LONG_TEXT, required=True, field="path"),
        Member("text", LONG_TEXT, field="text"),
        Member("blob", Blob(max=100_000_000), field="blob"),
    ),
    build=InputFile,
)
TOOL_ARGUMENTS = Structure(
    (
        Member("code", LONG_TEXT, field="code"),
        Member("language", Text(enum=("python", "javascript", "typescript")), field="language"),
        Member("clearContext", Boolean(), field="clear_context"),
        Member("command", LONG_TEXT, field="command"),
        Member("path", LONG_TEXT, field="path"),
        Member("paths", List(LONG_TEXT), field="paths"),
        Member("content", List(INPUT_FILE), field="content"),
        Member("directoryPath", LONG_TEXT, field="directory_path"),
        Member("taskId", LONG_TEXT, field="task_id"),
        Member("runtime", Text(enum=("nodejs", "deno", "python")), field="runtime"),
    ),
    build=ToolArguments,
)

_RESOURCE = Structure(
    (
        Member("type", Text(enum=("text", "blob")), required=True),
        Member("uri", Text()),
        Member("mimeType", Text()),
        Member("text", Text()),
        Member("blob", Blob()),
    )
)
_CONTENT_BLOCK = Structure(
    (
        Member("type", Text(enum=("text", "image", "resource", "resource_link")), required=True),
        Member("text", Text()),
        Member("data", Blob()),
        Member("mimeType", Text()),
        Member("uri", Text()),
        Member("name", Text()),
        Member("description", Text()),
        Member("size", Integer()),
        Member("resource", _RESOURCE),
    )
)
_STRUCTURED_CONTENT = Structure(
    (
        Member("taskId", Text()),
        Member("taskStatus", Text(enum=("submitted", "working", "completed", "canceled", "failed"))),
        Member("stdout", Text()),
        Member("stderr", Text()),
        Member("exitCode", Integer()),
        Member("executionTime", Double()),
    )
)
_RESULT = Structure(
    (
        Member("content", List(_CONTENT_BLOCK), required=True),
        Member("structuredContent", _STRUCTURED_CONTENT),
        Member("isError", Boolean()),
    )
)

_MESSAGE = Structure((Member("message", Text(pattern=r"[\s\S]+")),))
_FIELD_PROBLEM = Structure((Member("name", Text(), required=True), Member("message", Text(), required=True)))
_REASON = Text(
    enum=("CannotParse", "FieldValidationFailed", "IdempotentParameterMismatchException", "EventInOtherSession", "ResourceConflict")
)
_VALIDATION = Structure(
    (
        Member("message", Text(), required=True),
        Member("reason", _REASON, required=True),
        Member("fieldList", List(_FIELD_PROBLEM)),
    )
)
ERROR_SHAPES = {
    "AccessDeniedException": _MESSAGE,
    "ConflictException": _MESSAGE,
    "InternalServerException": _MESSAGE,
    "ResourceNotFoundException": _MESSAGE,
    "ServiceQuotaExceededException": _MESSAGE,
    "ThrottlingException": _MESSAGE,
    "ValidationException": _VALIDATION,
}


def stream_name(code: str) -> str:
    """The member of the stream that carries an error code."""
    return code[0].lower() + code[1:]


RESULT_STREAM = Structure(
    (Member("result", _RESULT), *(Member(stream_name(code), shape) for code, shape in ERROR_SHAPES.items())),
    event_stream=True,
)
