"""Requests with bad members: every one is named at once, with the API's code, reason and list."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance.raw_http import send
from running_server import BUILT_IN, Json, RunningServer, ServedSession, refused

START = f"/code-interpreters/{BUILT_IN}/sessions/start"
ROLE = "arn:aws:iam::123456789012:role/CodeInterpreterRole"


@pytest.fixture(scope="module")
def data(server: RunningServer) -> Any:
    """A client of the data plane that leaves the checking to the server."""
    return server.client("bedrock-agentcore", parameter_validation=False)


@pytest.fixture(scope="module")
def control(server: RunningServer) -> Any:
    """A client of the control plane that leaves the checking to the server."""
    return server.client("bedrock-agentcore-control", parameter_validation=False)


def fields(error: Json) -> set[str]:
    """The names of what is refused, in a response that has all the members of its kind."""
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert (error["Error"]["Code"], error["reason"]) == ("ValidationException", "FieldValidationFailed")
    assert "is not active" not in error["Error"]["Message"]
    assert all(field["message"] for field in error["fieldList"])
    return {field["name"] for field in error["fieldList"]}


def test_create_names_every_bad_member_at_once(control: Any) -> None:
    error = refused(
        control.create_code_interpreter,
        name="1 starts with a digit",
        description="",
        executionRoleArn="not an arn",
        networkConfiguration={"networkMode": "OPEN"},
        clientToken="short",
        tags={"aws\x00": "v" * 257},
    )
    named = fields(error)
    assert {"name", "description", "executionRoleArn", "networkConfiguration.networkMode", "clientToken"} <= named
    assert any(name.startswith("tags") for name in named)


def test_create_without_its_required_members_names_both(control: Any) -> None:
    assert fields(refused(control.create_code_interpreter, description="x")) == {"name", "networkConfiguration"}


@pytest.mark.parametrize("name", ["a" * 48, "A_1-b"])
def test_names_within_the_limits_are_accepted(server: RunningServer, name: str) -> None:
    made = server.create(name)["codeInterpreterId"]
    server.control.delete_code_interpreter(codeInterpreterId=made)


@pytest.mark.parametrize("name", ["a" * 49, "_a", "-a", "a b", "a/b", "\u00fc", "a\n"])
def test_names_beyond_the_limits_are_refused(control: Any, name: str) -> None:
    error = refused(control.create_code_interpreter, name=name, networkConfiguration={"networkMode": "SANDBOX"})
    assert fields(error) == {"name"}


@pytest.mark.parametrize(("length", "is_accepted"), [(4096, True), (4097, False)])
def test_description_has_at_most_4096_characters(server: RunningServer, control: Any, length: int, is_accepted: bool) -> None:
    arguments = {"name": f"described_{length}", "description": "d" * length, "networkConfiguration": {"networkMode": "SANDBOX"}}
    if is_accepted:
        made = server.control.create_code_interpreter(**arguments)
        assert len(server.control.get_code_interpreter(codeInterpreterId=made["codeInterpreterId"])["description"]) == length
    else:
        assert fields(refused(control.create_code_interpreter, **arguments)) == {"description"}


def test_start_names_every_bad_member_at_once(data: Any) -> None:
    error = refused(
        data.start_code_interpreter_session,
        codeInterpreterIdentifier=BUILT_IN,
        name="n" * 101,
        sessionTimeoutSeconds=28_801,
        clientToken="short",
    )
    assert fields(error) == {"name", "sessionTimeoutSeconds", "clientToken"}


@pytest.mark.parametrize("seconds", [0, -1, 28_801])
def test_lifetimes_beyond_the_limits_are_refused(data: Any, seconds: int) -> None:
    error = refused(data.start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN, sessionTimeoutSeconds=seconds)
    assert fields(error) == {"sessionTimeoutSeconds"}


@pytest.mark.parametrize("results", [0, 101])
def test_page_sizes_beyond_the_limits_are_refused(data: Any, control: Any, results: int) -> None:
    assert fields(refused(control.list_code_interpreters, maxResults=results)) == {"maxResults"}
    error = refused(data.list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN, maxResults=results)
    assert fields(error) == {"maxResults"}


def test_unknown_values_of_enumerations_are_refused(data: Any, control: Any) -> None:
    assert fields(refused(control.list_code_interpreters, type="OTHER")) == {"type"}
    error = refused(data.list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN, status="GONE")
    assert fields(error) == {"status"}


@pytest.mark.parametrize("identifier", ["no spaces", "a" * 200, "$(reboot)"])
def test_identifiers_of_another_form_are_refused(data: Any, control: Any, identifier: str) -> None:
    assert fields(refused(control.get_code_interpreter, codeInterpreterId=identifier)) == {"codeInterpreterId"}
    error = refused(data.start_code_interpreter_session, codeInterpreterIdentifier=identifier)
    assert fields(error) == {"codeInterpreterIdentifier"}


@pytest.mark.parametrize("session_id", ["a.b", "0" * 41, "0" * 25 + "!"])
def test_session_ids_of_another_form_are_refused(data: Any, session_id: str) -> None:
    named = {"codeInterpreterIdentifier": BUILT_IN, "sessionId": session_id}
    assert fields(refused(data.get_code_interpreter_session, **named)) == {"sessionId"}
    assert fields(refused(data.stop_code_interpreter_session, **named)) == {"sessionId"}
    assert fields(refused(data.invoke_code_interpreter, **named, name="listFiles", arguments={})) == {"sessionId"}


def test_get_without_a_session_id_names_it(server: RunningServer) -> None:
    answer = send(server, "GET", f"/code-interpreters/{BUILT_IN}/sessions/get")
    assert (answer.status, answer.code) == (400, "ValidationException")
    assert [field["name"] for field in answer.json["fieldList"]] == ["sessionId"]


def test_invoke_names_every_bad_member_at_once(session: ServedSession, data: Any) -> None:
    error = refused(
        data.invoke_code_interpreter,
        **session.named,
        name="formatDisk",
        arguments={"language": "cobol", "runtime": "jvm", "clearContext": "yes", "content": [{"text": "no path"}]},
    )
    assert fields(error) == {
        "name",
        "arguments.language",
        "arguments.runtime",
        "arguments.clearContext",
        "arguments.content[0].path",
    }


def test_invoke_without_a_tool_names_it(session: ServedSession, data: Any) -> None:
    assert fields(refused(data.invoke_code_interpreter, **session.named, arguments={})) == {"name"}


@pytest.mark.parametrize("arguments", [{"code": "1"}, {"language": "python"}, {}])
def test_code_and_language_are_both_needed(session: ServedSession, arguments: Json) -> None:
    error = session.refused("executeCode", **arguments)
    assert error["Error"] == {"Code": "ValidationException", "Message": "code and language fields are required in argument."}
    assert fields(error) == {f"arguments.{name}" for name in {"code", "language"} - arguments.keys()}


@pytest.mark.parametrize(
    ("tool", "member"),
    [
        ("executeCommand", "command"),
        ("startCommandExecution", "command"),
        ("getTask", "taskId"),
        ("stopTask", "taskId"),
        ("writeFiles", "content"),
        ("readFiles", "paths"),
        ("removeFiles", "paths"),
    ],
)
def test_missing_argument_of_a_tool_is_named(session: ServedSession, tool: str, member: str) -> None:
    assert fields(session.refused(tool)) == {f"arguments.{member}"}


def test_runtime_of_another_language_is_refused(session: ServedSession) -> None:
    assert fields(session.refused("executeCode", language="python", code="1", runtime="deno")) == {"arguments.runtime"}


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff", b'{"name":', b"[" * 100_000])
def test_body_that_is_no_json_object_cannot_be_parsed(server: RunningServer, body: bytes) -> None:
    answer = send(server, "PUT", START, body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (400, "ValidationException")
    assert answer.json["fieldList"] is not None


def test_members_that_the_api_does_not_know_are_ignored(server: RunningServer) -> None:
    answer = send(server, "PUT", START, json.dumps({"sessionTimeoutSeconds": 1, "futureMember": {"deep": [1]}}).encode())
    assert answer.status == 200


def test_refused_request_leaves_the_session_usable(session: ServedSession) -> None:
    session.refused("executeCode", code="1")
    assert session.printed("print(1)") == "1"
