"""The HTTP around the operations: headers, the one event, paths, encodings, sizes."""

from __future__ import annotations

import json
import socket
import zlib
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from botocore.eventstream import EventStreamBuffer, EventStreamMessage

from conformance.raw_http import Answer, send, signed
from running_server import BUILT_IN, RunningServer, ServedSession

INVOKE = f"/code-interpreters/{BUILT_IN}/tools/invoke"
SESSION_HEADER = "x-amzn-code-interpreter-session-id"


def invoke(session: ServedSession, tool: str, **arguments: object) -> Answer:
    """A call as bytes."""
    body = json.dumps({"name": tool, "arguments": arguments}).encode()
    return send(session.server, "POST", INVOKE, body, headers={SESSION_HEADER: session.id})


def events(answer: Answer) -> list[EventStreamMessage]:
    """The events of a stream, taken apart by botocore."""
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    buffer = EventStreamBuffer()
    buffer.add_data(answer.body)
    return list(buffer)


def test_call_is_answered_with_exactly_one_result_event(session: ServedSession) -> None:
    (event,) = events(invoke(session, "executeCode", language="python", code="for i in range(1000): print(i)"))
    assert event.headers == {":message-type": "event", ":event-type": "result", ":content-type": "application/json"}


def test_keys_of_a_result_come_in_the_service_s_order(session: ServedSession) -> None:
    (event,) = events(invoke(session, "executeCode", language="python", code="print('Hello World!!!')"))
    result = json.loads(event.payload)
    assert list(result) == ["content", "structuredContent", "isError"]
    assert list(result["content"][0]) == ["type", "text"]
    assert list(result["structuredContent"]) == ["stdout", "stderr", "exitCode", "executionTime"]


def test_answer_repeats_the_session_id_in_its_header(session: ServedSession) -> None:
    assert invoke(session, "listFiles").headers[SESSION_HEADER] == session.id
    assert session.answer("listFiles")["sessionId"] == session.id


def test_answer_to_a_started_task_has_its_id_in_a_header(session: ServedSession) -> None:
    answer = invoke(session, "startCommandExecution", command="true")
    (event,) = events(answer)
    assert answer.headers["x-amzn-code-interpreter-task-id"] == json.loads(event.payload)["structuredContent"]["taskId"]


@pytest.mark.parametrize("path", ["/code-interpreters", "/nowhere", INVOKE])
def test_every_answer_has_a_request_id_of_its_own(server: RunningServer, path: str) -> None:
    first, second = (send(server, "POST", path).headers["x-amzn-requestid"] for _ in range(2))
    assert UUID(first) != UUID(second)


def test_error_before_the_stream_is_an_http_error(session: ServedSession) -> None:
    answer = invoke(session, "executeCode", code="1")
    assert (answer.status, answer.code) == (400, "ValidationException")
    assert answer.headers["content-type"] == "application/json"


def test_identifiers_are_checked_after_percent_decoding(server: RunningServer) -> None:
    for path in ("/code-interpreters/%2e%2e", "/code-interpreters/a%2fb", "/code-interpreters/%00"):
        answer = send(server, "GET", path)
        assert (answer.status, answer.code) == (400, "ValidationException"), path
        assert [field["name"] for field in answer.json["fieldList"]] == ["codeInterpreterId"]


def test_percent_encoded_identifier_is_the_plain_one(server: RunningServer) -> None:
    assert send(server, "GET", "/code-interpreters/aws%2Ecodeinterpreter%2Ev1").json["codeInterpreterId"] == BUILT_IN


def test_percent_encoding_that_is_no_utf_8_is_refused(server: RunningServer) -> None:
    assert send(server, "GET", "/code-interpreters/%ff").status == 400


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("PATCH", "/code-interpreters"), ("POST", f"/code-interpreters/{BUILT_IN}/x")])
def test_path_that_is_no_operation_is_unknown(server: RunningServer, method: str, path: str) -> None:
    answer = send(server, method, path)
    assert (answer.status, answer.code) == (404, "UnknownOperationException")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
def test_encoded_bodies_are_refused(server: RunningServer, encoding: str) -> None:
    body = zlib.compress(b"{}")
    answer = send(server, "POST", f"/code-interpreters/{BUILT_IN}/sessions/list", body, headers={"Content-Encoding": encoding})
    assert (answer.status, answer.code) == (400, "ValidationException")


def test_identity_encoding_is_accepted(server: RunningServer) -> None:
    path = f"/code-interpreters/{BUILT_IN}/sessions/list"
    assert send(server, "POST", path, b"{}", headers={"Content-Encoding": "identity"}).status == 200


def test_body_that_says_to_be_too_large_is_refused_unread(server: RunningServer) -> None:
    place = urlsplit(server.url)
    headers = signed(server, "POST", INVOKE, headers={SESSION_HEADER: "0" * 26}) | {"Host": place.netloc, "Content-Length": str(10**12)}
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        lines = [f"POST {INVOKE} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"ValidationException" in answer


def test_body_of_an_operation_without_files_has_at_most_one_megabyte(server: RunningServer) -> None:
    path = f"/code-interpreters/{BUILT_IN}/sessions/list"
    assert send(server, "POST", path, b"{}" + b" " * (1024 * 1024 - 2)).status == 200
    answer = send(server, "POST", path, b"{}" + b" " * (1024 * 1024 - 1))
    assert (answer.status, answer.code) == (400, "ValidationException")


def test_chunked_body_is_read(session: ServedSession) -> None:
    body = b'{"name":"listFiles","arguments":{}}'
    place = urlsplit(session.server.url)
    headers = signed(session.server, "POST", INVOKE, body, headers={SESSION_HEADER: session.id}) | {"Host": place.netloc}
    lines = [f"POST {INVOKE} HTTP/1.1", "Transfer-Encoding: chunked", *(f"{name}: {value}" for name, value in headers.items())]
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        for piece in (body[:10], body[10:], b""):
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_ping_needs_no_signature(server: RunningServer) -> None:
    answer = send(server, "GET", "/ping", sign=False)
    assert (answer.status, answer.json["status"]) == (200, "Healthy")


def test_connection_is_used_again_after_an_error(server: RunningServer) -> None:
    client = server.client("bedrock-agentcore", max_pool_connections=1)
    for _ in range(3):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.get_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN, sessionId="0" * 26)


def test_modeled_exceptions_are_raised_by_their_class(server: RunningServer) -> None:
    name = f"class_{uuid4().hex[:10]}"
    server.create(name)
    with pytest.raises(server.control.exceptions.ConflictException):
        server.create(name)
    with pytest.raises(server.control.exceptions.ValidationException):
        server.create("no good name")
