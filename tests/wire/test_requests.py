"""What a botocore client sends becomes the request that it meant."""

from __future__ import annotations

import pytest

from cellblock.errors import UnknownOperation, ValidationFailed
from cellblock.model import requests
from cellblock.wire.head import read_head
from cellblock.wire.operations import match
from cellblock.wire.validation import parse
from wire.botocore_judge import received

BUILT_IN = "aws.codeinterpreter.v1"
TOKEN = "0123456789-0123456789-0123456789-0123456789"
SESSION = "01K0ABCDEFGHJKMNPQRSTVWXYZ"
CERTIFICATE = {"location": {"secretsManager": {"secretArn": "arn:aws:secretsmanager:us-west-2:123456789012:secret:ca/root"}}}
FILE_SYSTEM = {
    "efsConfiguration": {
        "accessPointArn": "arn:aws:elasticfilesystem:us-west-2:123456789012:access-point/fsap-0123456789abcdef0",
        "mountPath": "/mnt/shared",
        "fileSystemArn": "arn:aws:elasticfilesystem:us-west-2:123456789012:file-system/fs-0123456789abcdef0",
    }
}


def test_create_interpreter_with_every_member() -> None:
    network = {
        "networkMode": "VPC",
        "vpcConfig": {"securityGroups": ["sg-01234567"], "subnets": ["subnet-01234567"], "requireServiceS3Endpoint": False},
    }
    sent = {
        "name": "data-analysis-interpreter",
        "description": "for tests",
        "executionRoleArn": "arn:aws:iam::123456789012:role/CodeInterpreterRole",
        "networkConfiguration": network,
        "certificates": [CERTIFICATE],
        "filesystemConfigurations": [FILE_SYSTEM],
        "clientToken": TOKEN,
        "tags": {"team": "data", "stage": ""},
    }
    request = received("CreateCodeInterpreter", sent)
    kept = network | {"vpcConfig": {"securityGroups": ("sg-01234567",), "subnets": ("subnet-01234567",), "requireServiceS3Endpoint": False}}
    assert request == requests.CreateInterpreter(
        name="data-analysis-interpreter",
        description="for tests",
        role_arn="arn:aws:iam::123456789012:role/CodeInterpreterRole",
        network_configuration=kept,
        certificates=(CERTIFICATE,),
        filesystems=(FILE_SYSTEM,),
        client_token=TOKEN,
        tags={"team": "data", "stage": ""},
    )
    assert request.network_mode == "VPC"


def test_list_interpreters_by_query() -> None:
    request = received("ListCodeInterpreters", {"maxResults": 10, "nextToken": "a+b/c=&d", "type": "SYSTEM"})
    assert request == requests.ListInterpreters(max_results=10, next_token="a+b/c=&d", kind="SYSTEM")


def test_list_interpreters_without_anything() -> None:
    assert received("ListCodeInterpreters", {}) == requests.ListInterpreters()


@pytest.mark.parametrize("interpreter_id", [BUILT_IN, "my-interpreter-0123456789"])
def test_get_interpreter(interpreter_id: str) -> None:
    request = received("GetCodeInterpreter", {"codeInterpreterId": interpreter_id})
    assert request == requests.GetInterpreter(interpreter_id=interpreter_id)


def test_delete_interpreter() -> None:
    request = received("DeleteCodeInterpreter", {"codeInterpreterId": "mine-0123456789", "clientToken": TOKEN})
    assert request == requests.DeleteInterpreter(interpreter_id="mine-0123456789", client_token=TOKEN)


def test_start_session_with_every_member() -> None:
    sent = {
        "codeInterpreterIdentifier": BUILT_IN,
        "traceId": "Root=1-5759e988-bd862e3fe1be46a994272793",
        "traceParent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "name": "my session",
        "sessionTimeoutSeconds": 28_800,
        "certificates": [CERTIFICATE],
        "filesystemConfigurations": [FILE_SYSTEM],
        "clientToken": TOKEN,
    }
    assert received("StartCodeInterpreterSession", sent) == requests.StartSession(
        interpreter_id=BUILT_IN,
        trace_id="Root=1-5759e988-bd862e3fe1be46a994272793",
        trace_parent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        name="my session",
        timeout_seconds=28_800,
        certificates=(CERTIFICATE,),
        filesystems=(FILE_SYSTEM,),
        client_token=TOKEN,
    )


def test_start_session_takes_the_guides_description() -> None:
    head = read_head("PUT", b"/code-interpreters/aws.codeinterpreter.v1/sessions/start", b"", [])
    assert parse(match(head), head, b'{"description":"Data analysis session"}') == requests.StartSession(
        interpreter_id=BUILT_IN, description="Data analysis session"
    )


def test_stop_session() -> None:
    sent = {"codeInterpreterIdentifier": BUILT_IN, "sessionId": "session-abc123", "clientToken": TOKEN}
    request = received("StopCodeInterpreterSession", sent)
    assert request == requests.StopSession(interpreter_id=BUILT_IN, session_id="session-abc123", client_token=TOKEN)


def test_get_session() -> None:
    request = received("GetCodeInterpreterSession", {"codeInterpreterIdentifier": BUILT_IN, "sessionId": SESSION})
    assert request == requests.GetSession(interpreter_id=BUILT_IN, session_id=SESSION)


def test_list_sessions() -> None:
    sent = {"codeInterpreterIdentifier": BUILT_IN, "maxResults": 100, "nextToken": "next", "status": "READY"}
    request = received("ListCodeInterpreterSessions", sent)
    assert request == requests.ListSessions(interpreter_id=BUILT_IN, max_results=100, next_token="next", status="READY")


def test_invoke_with_every_argument() -> None:
    sent = {
        "codeInterpreterIdentifier": BUILT_IN,
        "sessionId": SESSION,
        "traceId": "t",
        "traceParent": "p",
        "name": "executeCode",
        "arguments": {
            "code": "print('☃')",
            "language": "typescript",
            "clearContext": False,
            "command": "ls",
            "path": "a",
            "paths": ["b", "c"],
            "content": [{"path": "d", "text": ""}, {"path": "e", "blob": b"\x00\xff"}],
            "directoryPath": "f",
            "taskId": "g",
            "runtime": "deno",
        },
    }
    request = received("InvokeCodeInterpreter", sent, {"amz-sdk-invocation-id": "6a4e9b1c"})
    assert request == requests.Invoke(
        interpreter_id=BUILT_IN,
        session_id=SESSION,
        tool="executeCode",
        arguments=requests.ToolArguments(
            code="print('☃')",
            language="typescript",
            runtime="deno",
            clear_context=False,
            command="ls",
            path="a",
            directory_path="f",
            paths=("b", "c"),
            content=(requests.InputFile(path="d", text=""), requests.InputFile(path="e", blob=b"\x00\xff")),
            task_id="g",
        ),
        invocation_id="6a4e9b1c",
        trace_id="t",
        trace_parent="p",
    )


def test_invoke_without_arguments_has_none() -> None:
    request = received("InvokeCodeInterpreter", {"codeInterpreterIdentifier": BUILT_IN, "sessionId": SESSION, "name": "listFiles"})
    assert request.arguments == requests.ToolArguments()


def test_null_members_are_absent_ones() -> None:
    head = read_head("POST", b"/code-interpreters/aws.codeinterpreter.v1/sessions/list", b"", [])
    body = b'{"maxResults": null, "status": null, "somethingNew": {"a": [1]}}'
    assert parse(match(head), head, body) == requests.ListSessions(interpreter_id=BUILT_IN)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", b"/"),
        ("GET", b"/code-interpreters"),
        ("PUT", b"/code-interpreters/"),
        ("PUT", b"//code-interpreters"),
        ("POST", b"/code-interpreters/a/b/sessions/start"),
        ("PUT", b"/code-interpreters/%2e%2e%2fx/y/sessions/start"),
        ("put", b"/code-interpreters"),
    ],
)
def test_other_methods_and_paths_are_no_operation(method: str, path: bytes) -> None:
    with pytest.raises(UnknownOperation):
        match(read_head(method, path, b"", []))


@pytest.mark.parametrize("path", [b"", b"*", b"http://elsewhere/", b"/a#b", b"/a?b", b"/a\x00", b"/a b", "/ä".encode()])
def test_paths_that_no_client_sends_are_refused(path: bytes) -> None:
    with pytest.raises(UnknownOperation):
        read_head("GET", path, b"", [])


@pytest.mark.parametrize("identifier", [b"..", b"%2e%2e", b"a%2fb", b"%2F", b"%00", b"", b"a%0a", b".a", b"a" * 101, b"%ff", b"a%20b"])
def test_identifiers_are_validated_after_percent_decoding(identifier: bytes) -> None:
    head = read_head("GET", b"/code-interpreters/" + identifier + b"/sessions/get", b"sessionId=abc", [])
    with pytest.raises(ValidationFailed) as caught:
        parse(match(head), head, b"")
    assert [field.name for field in caught.value.fields] == ["codeInterpreterIdentifier"]


def test_percent_encoded_identifiers_are_decoded() -> None:
    head = read_head("GET", b"/code-interpreters/aws%2Ecodeinterpreter%2Ev1/sessions/get", b"sessionId=%61bc", [])
    assert parse(match(head), head, b"") == requests.GetSession(interpreter_id=BUILT_IN, session_id="abc")


@pytest.mark.parametrize("value", [b"gzip", b"identity, gzip", b"aws-chunked"])
def test_encoded_bodies_are_refused(value: bytes) -> None:
    with pytest.raises(ValidationFailed, match="Content-Encoding"):
        read_head("PUT", b"/code-interpreters", b"", [(b"Content-Encoding", value)])


def test_identity_is_no_encoding() -> None:
    assert read_head("PUT", b"/code-interpreters", b"", [(b"Content-Encoding", b"Identity")]).path == "/code-interpreters"
