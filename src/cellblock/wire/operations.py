"""The nine operations: where each is found, what it takes and what it answers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from cellblock.errors import FieldProblem, UnknownOperation, ValidationFailed
from cellblock.model import requests
from cellblock.wire import members as m
from cellblock.wire.head import Head
from cellblock.wire.shapes import Integer, List, Member, Structure, Text
from cellblock.wire.tool_shapes import RESULT_STREAM, TOOL_ARGUMENTS, TOOL_NAME

OperationName = Literal[
    "StartCodeInterpreterSession",
    "StopCodeInterpreterSession",
    "GetCodeInterpreterSession",
    "ListCodeInterpreterSessions",
    "InvokeCodeInterpreter",
    "CreateCodeInterpreter",
    "ListCodeInterpreters",
    "GetCodeInterpreter",
    "DeleteCodeInterpreter",
]

SMALL_BODY_BYTES = 1024 * 1024
FILE_BODY_BYTES = 100 * 1024 * 1024 * 4 // 3 + SMALL_BODY_BYTES  # 100 MB of files in base64, and the JSON around them

SESSION_HEADER = "x-amzn-code-interpreter-session-id"
TASK_HEADER = "x-amzn-code-interpreter-task-id"
INVOCATION_HEADER = "amz-sdk-invocation-id"

_SESSIONS = "/code-interpreters/{codeInterpreterIdentifier}/sessions/"
_MAX_RESULTS = Integer(min=1, max=100)
_TIMEOUT = Integer(min=1, max=28_800)


@dataclass(frozen=True, eq=False, kw_only=True)
class Operation:
    """One operation of the API."""

    name: OperationName
    method: str
    path: str
    input: Structure
    output: Structure
    status: int = 200
    body_limit_bytes: int = SMALL_BODY_BYTES


@dataclass(frozen=True, slots=True)
class Match:
    """The operation that a request is for, and the parts of its path."""

    operation: Operation
    path_values: dict[str, str]


_SUMMARY = Structure(
    (
        Member("codeInterpreterId", m.INTERPRETER_ID, required=True),
        Member("codeInterpreterArn", m.INTERPRETER_ARN, required=True),
        Member("name", m.INTERPRETER_NAME),
        Member("description", m.DESCRIPTION),
        Member("status", m.INTERPRETER_STATUS, required=True),
        m.CREATED_AT,
        Member("lastUpdatedAt", m.UPDATED_AT.shape),
    )
)
_SESSION_SUMMARY = Structure(
    (
        m.INTERPRETER_IDENTIFIER_OUT,
        m.SESSION_ID_OUT,
        Member("name", m.SESSION_NAME),
        Member("status", m.SESSION_STATUS, required=True),
        m.CREATED_AT,
        Member("lastUpdatedAt", m.UPDATED_AT.shape),
    )
)

CREATE_INTERPRETER = Operation(
    name="CreateCodeInterpreter",
    method="PUT",
    path="/code-interpreters",
    status=202,
    input=Structure(
        (
            Member("name", m.INTERPRETER_NAME, required=True, field="name"),
            Member("description", m.DESCRIPTION, field="description"),
            Member("executionRoleArn", m.ROLE_ARN, field="role_arn"),
            Member("networkConfiguration", m.NETWORK_CONFIGURATION, required=True, field="network_configuration"),
            m.CERTIFICATES_IN_BODY,
            m.FILE_SYSTEMS_IN_BODY,
            m.CLIENT_TOKEN_IN_BODY,
            Member("tags", m.TAGS, field="tags"),
        ),
        build=requests.CreateInterpreter,
    ),
    output=Structure(
        (
            Member("codeInterpreterId", m.INTERPRETER_ID, required=True),
            Member("codeInterpreterArn", m.INTERPRETER_ARN, required=True),
            m.CREATED_AT,
            Member("status", m.INTERPRETER_STATUS, required=True),
        )
    ),
)

LIST_INTERPRETERS = Operation(
    name="ListCodeInterpreters",
    method="POST",
    path="/code-interpreters",
    input=Structure(
        (
            Member("maxResults", _MAX_RESULTS, location="query", field="max_results"),
            Member("nextToken", m.NEXT_TOKEN, location="query", field="next_token"),
            Member("type", Text(enum=("SYSTEM", "CUSTOM")), location="query", field="kind"),
        ),
        build=requests.ListInterpreters,
    ),
    output=Structure((Member("codeInterpreterSummaries", List(_SUMMARY), required=True), Member("nextToken", m.NEXT_TOKEN))),
)

GET_INTERPRETER = Operation(
    name="GetCodeInterpreter",
    method="GET",
    path="/code-interpreters/{codeInterpreterId}",
    input=Structure((m.INTERPRETER_ID_IN_PATH,), build=requests.GetInterpreter),
    output=Structure(
        (
            Member("codeInterpreterId", m.INTERPRETER_ID, required=True),
            Member("codeInterpreterArn", m.INTERPRETER_ARN, required=True),
            Member("name", m.INTERPRETER_NAME, required=True),
            Member("description", m.DESCRIPTION),
            Member("executionRoleArn", m.ROLE_ARN),
            Member("networkConfiguration", m.NETWORK_CONFIGURATION, required=True),
            Member("status", m.INTERPRETER_STATUS, required=True),
            Member("certificates", m.CERTIFICATES),
            Member("filesystemConfigurations", m.FILE_SYSTEMS),
            Member("failureReason", Text()),
            m.CREATED_AT,
            m.UPDATED_AT,
        )
    ),
)

DELETE_INTERPRETER = Operation(
    name="DeleteCodeInterpreter",
    method="DELETE",
    path="/code-interpreters/{codeInterpreterId}",
    status=202,
    input=Structure(
        (m.INTERPRETER_ID_IN_PATH, Member("clientToken", m.CLIENT_TOKEN, location="query", field="client_token")),
        build=requests.DeleteInterpreter,
    ),
    output=Structure(
        (
            Member("codeInterpreterId", m.INTERPRETER_ID, required=True),
            Member("status", m.INTERPRETER_STATUS, required=True),
            m.UPDATED_AT,
        )
    ),
)

START_SESSION = Operation(
    name="StartCodeInterpreterSession",
    method="PUT",
    path=_SESSIONS + "start",
    input=Structure(
        (
            *m.TRACE,
            m.INTERPRETER_IN_PATH,
            Member("name", m.SESSION_NAME, field="name"),
            Member("description", m.DESCRIPTION, field="description"),  # the guide's, not the API's
            Member("sessionTimeoutSeconds", _TIMEOUT, field="timeout_seconds"),
            m.CERTIFICATES_IN_BODY,
            m.FILE_SYSTEMS_IN_BODY,
            m.CLIENT_TOKEN_IN_BODY,
        ),
        build=requests.StartSession,
    ),
    output=Structure((m.INTERPRETER_IDENTIFIER_OUT, m.SESSION_ID_OUT, m.CREATED_AT)),
)

STOP_SESSION = Operation(
    name="StopCodeInterpreterSession",
    method="PUT",
    path=_SESSIONS + "stop",
    input=Structure((*m.TRACE, m.INTERPRETER_IN_PATH, m.SESSION_IN_QUERY, m.CLIENT_TOKEN_IN_BODY), build=requests.StopSession),
    output=Structure((m.INTERPRETER_IDENTIFIER_OUT, m.SESSION_ID_OUT, m.UPDATED_AT)),
)

GET_SESSION = Operation(
    name="GetCodeInterpreterSession",
    method="GET",
    path=_SESSIONS + "get",
    input=Structure((m.INTERPRETER_IN_PATH, m.SESSION_IN_QUERY), build=requests.GetSession),
    output=Structure(
        (
            m.INTERPRETER_IDENTIFIER_OUT,
            m.SESSION_ID_OUT,
            Member("name", m.SESSION_NAME),
            m.CREATED_AT,
            Member("sessionTimeoutSeconds", _TIMEOUT),
            Member("status", m.SESSION_STATUS),
            Member("certificates", m.CERTIFICATES),
            Member("filesystemConfigurations", m.FILE_SYSTEMS),
        )
    ),
)

LIST_SESSIONS = Operation(
    name="ListCodeInterpreterSessions",
    method="POST",
    path=_SESSIONS + "list",
    input=Structure(
        (
            m.INTERPRETER_IN_PATH,
            Member("maxResults", _MAX_RESULTS, field="max_results"),
            Member("nextToken", m.NEXT_TOKEN, field="next_token"),
            Member("status", m.SESSION_STATUS, field="status"),
        ),
        build=requests.ListSessions,
    ),
    output=Structure((Member("items", List(_SESSION_SUMMARY), required=True), Member("nextToken", m.NEXT_TOKEN))),
)

INVOKE = Operation(
    name="InvokeCodeInterpreter",
    method="POST",
    path="/code-interpreters/{codeInterpreterIdentifier}/tools/invoke",
    body_limit_bytes=FILE_BODY_BYTES,
    input=Structure(
        (
            m.INTERPRETER_IN_PATH,
            # The API does not require it because it once started a session by itself; nothing can be invoked without one here.
            Member("sessionId", m.SESSION_ID, required=True, location="header", wire_name=SESSION_HEADER, field="session_id"),
            *m.TRACE,
            Member("name", TOOL_NAME, required=True, field="tool"),
            Member("arguments", TOOL_ARGUMENTS, field="arguments"),
            Member("invocationId", Text(max=256), location="header", wire_name=INVOCATION_HEADER, field="invocation_id"),
        ),
        build=requests.Invoke,
    ),
    output=Structure(
        (
            Member("sessionId", m.SESSION_ID, location="header", wire_name=SESSION_HEADER),
            Member("taskId", Text(), location="header", wire_name=TASK_HEADER),  # the guide's, not the API's
            Member("stream", RESULT_STREAM, required=True),
        )
    ),
)

OPERATIONS = (
    START_SESSION,
    STOP_SESSION,
    GET_SESSION,
    LIST_SESSIONS,
    INVOKE,
    CREATE_INTERPRETER,
    LIST_INTERPRETERS,
    GET_INTERPRETER,
    DELETE_INTERPRETER,
)
_ROUTES: defaultdict[tuple[str, int], list[tuple[Operation, tuple[str, ...]]]] = defaultdict(list)  # by method and number of parts
for _operation in OPERATIONS:
    _ROUTES[_operation.method, _operation.path.count("/") + 1].append((_operation, tuple(_operation.path.split("/"))))


def match(head: Head) -> Match:
    """The operation that answers to this method and path; parts of the path are percent-decoded only after it is split."""
    parts = head.path.split("/")
    for operation, template in _ROUTES.get((head.method, len(parts)), ()):
        if (values := _path_values(template, parts)) is not None:
            return Match(operation, values)
    raise UnknownOperation(head.method, head.path)


def _path_values(template: tuple[str, ...], parts: list[str]) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for wanted, part in zip(template, parts, strict=True):
        if wanted.startswith("{"):
            values[wanted[1:-1]] = _percent_decoded(wanted[1:-1], part)
        elif wanted != part:
            return None
    return values


def _percent_decoded(name: str, part: str) -> str:
    try:
        return unquote(part, errors="strict") if "%" in part else part
    except UnicodeDecodeError as error:
        problem = "is not UTF-8 when its percent-encoding is undone"
        raise ValidationFailed(f"{name}: {problem}", fields=(FieldProblem(name, problem),)) from error
