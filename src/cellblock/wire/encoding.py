"""Answers and errors as HTTP: status, headers and a body of JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pybase64

from cellblock.errors import CellblockError, Throttled, ValidationFailed
from cellblock.model.resources import Interpreter, Page, Session
from cellblock.model.results import Block, FileBlock, ImageBlock, LinkBlock, Structured, TextBlock, ToolResult
from cellblock.wire.operations import SESSION_HEADER, TASK_HEADER, Operation, OperationName

ELSEWHERE_HEADER = "X-Cellblock-Elsewhere"  # the request was not done, and another node of a cluster may do it
EVENT_STREAM_TYPE = "application/vnd.amazon.eventstream"

_JSON = msgspec.json.Encoder()  # times as ISO 8601 with their zone
_PLACE = b"\0"  # JSON writes a NUL as an escape, so that this one stands nowhere else
_PIECE_BYTES = 3 * 256 * 1024  # of three bytes each, so that the pieces' base64 is the whole's

Members = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Response:
    """What the HTTP server sends."""

    status: int
    headers: Mapping[str, str]
    body: bytes | bytearray


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an answer repeats of its request; ARNs are in the region that the client signed for."""

    request_id: str
    region: str


def response(operation: Operation, value: Interpreter | Session | Page[Any], context: Context) -> Response:
    """The answer of every operation but InvokeCodeInterpreter.

    `value` is the interpreter or session that was made, changed or found, or the page of them.
    """
    members = _WRITERS[operation.name](value, context.region)
    present = {name: member for name, member in members.items() if member is not None}
    return Response(operation.status, _headers(context.request_id, "application/json"), json_bytes(present))


def stream_headers(session_id: str, result: ToolResult, request_id: str) -> dict[str, str]:
    """The headers before the event stream of InvokeCodeInterpreter; a started task's id is among them."""
    headers = _headers(request_id, EVENT_STREAM_TYPE) | {SESSION_HEADER: session_id}
    if result.structured is not None and result.structured.task_id is not None:
        headers[TASK_HEADER] = result.structured.task_id
    return headers


def error(failure: CellblockError, request_id: str) -> Response:
    """The answer to a request that is not done."""
    headers = _headers(request_id, "application/json") | {"x-amzn-ErrorType": failure.code}
    if isinstance(failure, Throttled):
        headers["Retry-After"] = str(math.ceil(failure.retry_after_seconds))
    if failure.is_of_this_machine:
        headers[ELSEWHERE_HEADER] = "yes"
    return Response(failure.status, headers, json_bytes({"__type": failure.code, **error_members(failure)}))


def error_members(failure: CellblockError) -> Members:
    """An error in the API's members, in a response and in a stream alike."""
    message = failure.public_message or failure.message
    members: Members = {"message": f"{failure.guide_name}: {message}" if failure.guide_name else message}
    if isinstance(failure, ValidationFailed):
        members["reason"] = failure.reason
        members["fieldList"] = [{"name": field.name, "message": field.message} for field in failure.fields]
    return members


def result_into(buffer: bytearray, result: ToolResult) -> None:
    """Append a tool's result as JSON, its members in the order that the service is known to send.

    Files and pictures come to their places afterwards: a codec of their own is eight times as fast as the JSON encoder, and needs no
    second copy of them.
    """
    blobs: list[bytes | bytearray] = []
    members: Members = {"content": [_block(block, blobs) for block in result.content]}
    if result.structured is not None:
        members["structuredContent"] = _structured(result.structured)
    members["isError"] = result.is_error
    first, *others = json_bytes(members).split(_PLACE)
    buffer += first
    for blob, part in zip(blobs, others, strict=True):
        _base64_into(buffer, blob)
        buffer += part


def json_bytes(value: object) -> bytes:
    """JSON in UTF-8."""
    return _JSON.encode(value)


def text_size(text: str) -> int:
    """Bytes of a text in an answer's JSON, quotes and escapes included."""
    return len(_JSON.encode(text))


def blob_size(data: bytes | bytearray) -> int:
    """Bytes of data in an answer's JSON, quotes included."""
    return (len(data) + 2) // 3 * 4 + 2


def _headers(request_id: str, content_type: str) -> dict[str, str]:
    return {"Content-Type": content_type, "x-amzn-RequestId": request_id}


def _interpreter_made(interpreter: Interpreter, region: str) -> Members:
    return {
        "codeInterpreterId": interpreter.id,
        "codeInterpreterArn": interpreter.arn(region),
        "createdAt": interpreter.created_at,
        "status": interpreter.status,
    }


def _interpreter(interpreter: Interpreter, region: str) -> Members:
    return {
        "codeInterpreterId": interpreter.id,
        "codeInterpreterArn": interpreter.arn(region),
        "name": interpreter.name,
        "description": interpreter.description,
        "executionRoleArn": interpreter.role_arn,
        "networkConfiguration": interpreter.network_configuration,
        "status": interpreter.status,
        "certificates": interpreter.certificates or None,
        "filesystemConfigurations": interpreter.filesystems or None,
        "createdAt": interpreter.created_at,
        "lastUpdatedAt": interpreter.updated_at,
    }


def _interpreter_summary(interpreter: Interpreter, region: str) -> Members:
    members = {
        "codeInterpreterId": interpreter.id,
        "codeInterpreterArn": interpreter.arn(region),
        "name": interpreter.name,
        "description": interpreter.description,
        "status": interpreter.status,
        "createdAt": interpreter.created_at,
        "lastUpdatedAt": interpreter.updated_at,
    }
    return {name: member for name, member in members.items() if member is not None}


def _interpreter_page(page: Page[Interpreter], region: str) -> Members:
    return {"codeInterpreterSummaries": [_interpreter_summary(item, region) for item in page.items], "nextToken": page.next_token}


def _interpreter_deleted(interpreter: Interpreter, _: str) -> Members:
    # It is gone already; the API has no answer that says so.
    return {"codeInterpreterId": interpreter.id, "status": "DELETING", "lastUpdatedAt": interpreter.updated_at}


def _session_started(session: Session, _: str) -> Members:
    return {"codeInterpreterIdentifier": session.interpreter_id, "sessionId": session.id, "createdAt": session.created_at}


def _session_stopped(session: Session, _: str) -> Members:
    return {"codeInterpreterIdentifier": session.interpreter_id, "sessionId": session.id, "lastUpdatedAt": session.updated_at}


def _session(session: Session, _: str) -> Members:
    return {
        "codeInterpreterIdentifier": session.interpreter_id,
        "sessionId": session.id,
        "name": session.name,
        "createdAt": session.created_at,
        "sessionTimeoutSeconds": session.timeout_seconds,
        "status": session.state,
        "certificates": session.certificates or None,
        "filesystemConfigurations": session.filesystems or None,
    }


def _session_page(page: Page[Session], _: str) -> Members:
    return {"items": [_session_summary(item) for item in page.items], "nextToken": page.next_token}


def _session_summary(session: Session) -> Members:
    members = {
        "codeInterpreterIdentifier": session.interpreter_id,
        "sessionId": session.id,
        "name": session.name,
        "status": session.state,
        "createdAt": session.created_at,
        "lastUpdatedAt": session.updated_at,
    }
    return {name: member for name, member in members.items() if member is not None}


_WRITERS: dict[OperationName, Callable[[Any, str], Members]] = {
    "CreateCodeInterpreter": _interpreter_made,
    "GetCodeInterpreter": _interpreter,
    "ListCodeInterpreters": _interpreter_page,
    "DeleteCodeInterpreter": _interpreter_deleted,
    "StartCodeInterpreterSession": _session_started,
    "StopCodeInterpreterSession": _session_stopped,
    "GetCodeInterpreterSession": _session,
    "ListCodeInterpreterSessions": _session_page,
}


def _block(block: Block, blobs: list[bytes | bytearray]) -> Members:
    match block:
        case TextBlock():
            return {"type": "text", "text": block.text}
        case ImageBlock():
            return {"type": "image", "data": _place_of(block.data, blobs), "mimeType": block.mime_type}
        case FileBlock():
            return {"type": "resource", "resource": _resource(block, blobs)}
        case LinkBlock():
            return _link(block)


def _resource(block: FileBlock, blobs: list[bytes | bytearray]) -> Members:
    kind = "text" if isinstance(block.content, str) else "blob"
    members: Members = {"type": kind, "uri": block.uri}
    if block.mime_type is not None:
        members["mimeType"] = block.mime_type
    return members | {kind: block.content if isinstance(block.content, str) else _place_of(block.content, blobs)}


def _place_of(blob: bytes | bytearray, blobs: list[bytes | bytearray]) -> msgspec.Raw:
    blobs.append(blob)
    return msgspec.Raw(_PLACE)


def _base64_into(buffer: bytearray, blob: bytes | bytearray) -> None:
    buffer += b'"'
    with memoryview(blob) as view:
        for start in range(0, len(view), _PIECE_BYTES):
            buffer += pybase64.b64encode(view[start : start + _PIECE_BYTES])
    buffer += b'"'


def _link(block: LinkBlock) -> Members:
    members: Members = {"type": "resource_link"}
    if block.mime_type is not None:
        members["mimeType"] = block.mime_type
    members |= {"uri": block.uri, "name": block.name, "description": block.description}
    if block.size is not None:
        members["size"] = block.size
    return members


def _structured(structured: Structured) -> Members:
    members: Sequence[tuple[str, object]] = (
        ("taskId", structured.task_id),
        ("taskStatus", structured.task_status),
        ("stdout", structured.stdout),
        ("stderr", structured.stderr),
        ("exitCode", structured.exit_code),
        ("executionTime", structured.execution_time),
    )
    return {name: member for name, member in members if member is not None}
