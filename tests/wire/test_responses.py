"""What a botocore client reads from each answer is what the service said."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from cellblock.model.resources import BUILT_IN_INTERPRETER, Interpreter, Page, Session
from cellblock.wire import operations
from cellblock.wire.encoding import Context, response
from cellblock.wire.operations import Operation
from wire.botocore_judge import parsed

CREATED = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
UPDATED = CREATED + timedelta(seconds=61)
CONTEXT = Context(request_id="5f2c", region="eu-central-1")
CERTIFICATE = {"location": {"secretsManager": {"secretArn": "arn:aws:secretsmanager:us-west-2:123456789012:secret:ca"}}}
FILE_SYSTEM = {
    "s3FilesConfiguration": {
        "accessPointArn": "arn:aws:s3files:us-west-2:1:file-system/fs-0123456789abcdef0/access-point/fsap-0123456789abcdef0",
        "mountPath": "/mnt/s3",
        "fileSystemArn": "arn:aws:s3files:us-west-2:123456789012:file-system/fs-0123456789abcdef0",
    }
}
INTERPRETER = Interpreter(
    id="my-tools-0123456789",
    name="my-tools",
    account="123456789012",
    network_mode="SANDBOX",
    network_configuration={"networkMode": "SANDBOX"},
    created_at=CREATED,
    updated_at=UPDATED,
    description="für Daten",
    role_arn="arn:aws:iam::123456789012:role/Tools",
    certificates=(CERTIFICATE,),
    filesystems=(FILE_SYSTEM,),
)
ARN = "arn:aws:bedrock-agentcore:eu-central-1:123456789012:code-interpreter-custom/my-tools-0123456789"
SESSION = Session(
    id="01K0ABCDEFGHJKMNPQRSTVWXYZ",
    interpreter_id=INTERPRETER.id,
    account="123456789012",
    timeout_seconds=900,
    created_at=CREATED,
    updated_at=UPDATED,
    name="s",
    certificates=(CERTIFICATE,),
    filesystems=(FILE_SYSTEM,),
)
IDS = {"codeInterpreterIdentifier": INTERPRETER.id, "sessionId": SESSION.id}


def answered(operation: Operation, value: Interpreter | Session | Page[Interpreter] | Page[Session]) -> dict[str, object]:
    answer = parsed(operation.name, response(operation, value, CONTEXT))
    metadata = answer.pop("ResponseMetadata")
    assert metadata["HTTPStatusCode"] == operation.status
    assert metadata["RequestId"] == "5f2c"
    return answer


def test_create_interpreter() -> None:
    assert answered(operations.CREATE_INTERPRETER, INTERPRETER) == {
        "codeInterpreterId": "my-tools-0123456789",
        "codeInterpreterArn": ARN,
        "createdAt": CREATED,
        "status": "READY",
    }


def test_get_interpreter() -> None:
    assert answered(operations.GET_INTERPRETER, INTERPRETER) == {
        "codeInterpreterId": "my-tools-0123456789",
        "codeInterpreterArn": ARN,
        "name": "my-tools",
        "description": "für Daten",
        "executionRoleArn": "arn:aws:iam::123456789012:role/Tools",
        "networkConfiguration": {"networkMode": "SANDBOX"},
        "status": "READY",
        "certificates": [CERTIFICATE],
        "filesystemConfigurations": [FILE_SYSTEM],
        "createdAt": CREATED,
        "lastUpdatedAt": UPDATED,
    }


def test_members_without_a_value_are_left_out() -> None:
    bare = replace(INTERPRETER, description=None, role_arn=None, certificates=(), filesystems=())
    absent = {"description", "executionRoleArn", "certificates", "filesystemConfigurations"}
    assert not absent & json.loads(response(operations.GET_INTERPRETER, bare, CONTEXT).body).keys()


def test_list_interpreters() -> None:
    page = Page((BUILT_IN_INTERPRETER, replace(INTERPRETER, description=None)), "next")
    answer = answered(operations.LIST_INTERPRETERS, page)
    assert answer["nextToken"] == "next"
    built_in, mine = answer["codeInterpreterSummaries"]  # type: ignore[misc]
    assert built_in["codeInterpreterArn"] == "arn:aws:bedrock-agentcore:eu-central-1:aws:code-interpreter/aws.codeinterpreter.v1"
    assert mine == {
        "codeInterpreterId": "my-tools-0123456789",
        "codeInterpreterArn": ARN,
        "name": "my-tools",
        "status": "READY",
        "createdAt": CREATED,
        "lastUpdatedAt": UPDATED,
    }


def test_delete_interpreter() -> None:
    assert answered(operations.DELETE_INTERPRETER, INTERPRETER) == {
        "codeInterpreterId": "my-tools-0123456789",
        "status": "DELETING",
        "lastUpdatedAt": UPDATED,
    }


def test_start_session() -> None:
    assert answered(operations.START_SESSION, SESSION) == {**IDS, "createdAt": CREATED}


def test_stop_session() -> None:
    assert answered(operations.STOP_SESSION, SESSION) == {**IDS, "lastUpdatedAt": UPDATED}


def test_get_session() -> None:
    assert answered(operations.GET_SESSION, replace(SESSION, state="TERMINATED")) == {
        **IDS,
        "name": "s",
        "createdAt": CREATED,
        "sessionTimeoutSeconds": 900,
        "status": "TERMINATED",
        "certificates": [CERTIFICATE],
        "filesystemConfigurations": [FILE_SYSTEM],
    }


def test_list_sessions() -> None:
    page = Page((SESSION, replace(SESSION, name=None)))
    summary = {**IDS, "status": "READY", "createdAt": CREATED, "lastUpdatedAt": UPDATED}
    assert answered(operations.LIST_SESSIONS, page) == {"items": [{**summary, "name": "s"}, summary]}


def test_empty_list_is_a_list() -> None:
    assert answered(operations.LIST_SESSIONS, Page(())) == {"items": []}


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-8))])
def test_times_are_iso_8601_with_a_zone(zone: timezone) -> None:
    body = response(operations.START_SESSION, replace(SESSION, created_at=CREATED.astimezone(zone)), CONTEXT).body
    text = json.loads(body)["createdAt"]
    assert isinstance(text, str)
    assert datetime.fromisoformat(text) == CREATED
    assert datetime.fromisoformat(text).tzinfo is not None


def test_every_answer_carries_the_request_id_and_type() -> None:
    headers = response(operations.START_SESSION, SESSION, CONTEXT).headers
    assert headers == {"Content-Type": "application/json", "x-amzn-RequestId": "5f2c"}
