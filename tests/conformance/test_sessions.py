"""Starting, describing, listing and stopping sessions, over a real socket by stock boto3."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from uuid import uuid4

import pytest

from conformance.raw_http import send
from running_server import BUILT_IN, Json, RunningServer, ServedSession, refused, until

CERTIFICATES = [{"location": {"secretsManager": {"secretArn": "arn:aws:secretsmanager:us-west-2:123456789012:secret:ca-AbCdEf"}}}]
FILE_SYSTEMS = [
    {
        "efsConfiguration": {
            "accessPointArn": "arn:aws:elasticfilesystem:us-west-2:123456789012:access-point/fsap-0123456789abcdef0",
            "mountPath": "/mnt/data",
            "fileSystemArn": "arn:aws:elasticfilesystem:us-west-2:123456789012:file-system/fs-0123456789abcdef0",
        }
    }
]
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@pytest.fixture(scope="module")
def interpreter(server: RunningServer) -> str:
    """An interpreter whose sessions are of these tests alone."""
    made: str = server.create(f"sessions_{uuid4().hex[:12]}")["codeInterpreterId"]
    return made


def pages(server: RunningServer, interpreter: str, **arguments: object) -> Iterator[Json]:
    while True:
        page = server.data.list_code_interpreter_sessions(codeInterpreterIdentifier=interpreter, **arguments)
        yield page
        if "nextToken" not in page:
            return
        arguments["nextToken"] = page["nextToken"]


def listed(server: RunningServer, interpreter: str, **arguments: object) -> dict[str, Json]:
    return {item["sessionId"]: item for page in pages(server, interpreter, **arguments) for item in page["items"]}


def test_start_answers_with_id_interpreter_and_time(server: RunningServer) -> None:
    started = server.data.start_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN)
    server.data.stop_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN, sessionId=started["sessionId"])
    assert re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}([0-9A-Z]{10})?", started["sessionId"]), "a ULID, and in a cluster its node"
    assert started["codeInterpreterIdentifier"] == BUILT_IN
    assert abs(datetime.now(UTC) - started["createdAt"]) < timedelta(minutes=1)


def test_get_returns_every_member_of_start(server: RunningServer, interpreter: str) -> None:
    kept = {"name": "analysis-1", "sessionTimeoutSeconds": 1234, "certificates": CERTIFICATES, "filesystemConfigurations": FILE_SYSTEMS}
    with server.session(interpreter=interpreter, **kept) as session:
        found = session.get()
    del found["ResponseMetadata"]
    assert found.pop("createdAt").tzinfo is not None
    assert found == kept | {"sessionId": session.id, "codeInterpreterIdentifier": interpreter, "status": "READY"}


def test_session_lives_900_seconds_unless_it_asks_for_more(session: ServedSession) -> None:
    assert session.get()["sessionTimeoutSeconds"] == 900


@pytest.mark.parametrize("seconds", [1, 28_800])
def test_shortest_and_longest_lifetimes_are_accepted(server: RunningServer, seconds: int) -> None:
    session = server.start(sessionTimeoutSeconds=seconds)
    assert session.get()["sessionTimeoutSeconds"] == seconds
    session.end()


def test_description_of_the_guide_s_command_line_is_accepted(server: RunningServer) -> None:
    body = json.dumps({"name": "analysis-session-001", "description": "Looks at data"}).encode()
    answer = send(server, "PUT", f"/code-interpreters/{BUILT_IN}/sessions/start", body)
    assert answer.status == 200
    named = {"codeInterpreterIdentifier": BUILT_IN, "sessionId": answer.json["sessionId"]}
    server.data.stop_code_interpreter_session(**named)


@pytest.mark.parametrize("operation", ["get", "start"])
def test_timestamps_are_texts_with_a_zone(server: RunningServer, session: ServedSession, operation: str) -> None:
    sessions = f"/code-interpreters/{BUILT_IN}/sessions"
    if operation == "get":
        answer = send(server, "GET", f"{sessions}/get?sessionId={session.id}")
    else:
        answer = send(server, "PUT", f"{sessions}/start", b'{"sessionTimeoutSeconds":1}')
    assert TIMESTAMP.fullmatch(answer.json["createdAt"])


def test_stop_answers_with_id_interpreter_and_time(server: RunningServer) -> None:
    session = server.start()
    created = session.get()["createdAt"]
    stopped = session.stop()
    assert (stopped["sessionId"], stopped["codeInterpreterIdentifier"]) == (session.id, BUILT_IN)
    assert stopped["lastUpdatedAt"] >= created


def test_get_of_a_stopped_session_answers_terminated(server: RunningServer) -> None:
    session = server.start(name="over", sessionTimeoutSeconds=60)
    session.stop()
    found = session.get()
    assert (found["status"], found["name"], found["sessionTimeoutSeconds"]) == ("TERMINATED", "over", 60)


def test_stopping_twice_conflicts(server: RunningServer) -> None:
    session = server.start()
    session.stop()
    error = refused(session.client.stop_code_interpreter_session, **session.named)
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert error["Error"] == {"Code": "ConflictException", "Message": f"Session already terminated: {session.id} (stopped)"}


def test_stop_with_the_same_client_token_answers_again(server: RunningServer) -> None:
    session = server.start()
    token = uuid4().hex + uuid4().hex
    first, again = (session.client.stop_code_interpreter_session(**session.named, clientToken=token) for _ in range(2))
    assert first["sessionId"] == again["sessionId"]


def test_list_items_have_every_member(server: RunningServer, interpreter: str) -> None:
    with server.session(interpreter=interpreter, name="listed") as session:
        item = listed(server, interpreter)[session.id]
        assert item == {
            "codeInterpreterIdentifier": interpreter,
            "sessionId": session.id,
            "name": "listed",
            "status": "READY",
            "createdAt": session.get()["createdAt"],
            "lastUpdatedAt": item["lastUpdatedAt"],
        }
        assert item["lastUpdatedAt"] >= item["createdAt"]


def test_last_update_of_a_stopped_session_is_its_end(server: RunningServer, interpreter: str) -> None:
    with server.session(interpreter=interpreter) as session:
        stopped = session.stop()
    assert listed(server, interpreter)[session.id]["lastUpdatedAt"] == stopped["lastUpdatedAt"]


def test_list_filters_by_status(server: RunningServer, interpreter: str) -> None:
    with server.session(interpreter=interpreter) as live, server.session(interpreter=interpreter) as over:
        over.stop()
        assert {live.id, over.id} & listed(server, interpreter, status="READY").keys() == {live.id}
        assert {live.id, over.id} & listed(server, interpreter, status="TERMINATED").keys() == {over.id}


def test_list_is_of_one_interpreter(server: RunningServer, interpreter: str, session: ServedSession) -> None:
    assert session.id not in listed(server, interpreter)


def test_list_pages_by_token_without_a_gap_or_a_repeat(server: RunningServer) -> None:
    interpreter = server.create(f"pages_{uuid4().hex[:12]}")["codeInterpreterId"]
    sessions = [server.start(interpreter=interpreter) for _ in range(5)]
    found = [[item["sessionId"] for item in page["items"]] for page in pages(server, interpreter, maxResults=2)]
    for session in sessions:
        session.stop()
    assert [len(page) for page in found] == [2, 2, 1]
    assert sorted(chain.from_iterable(found)) == sorted(session.id for session in sessions)


def test_token_that_is_none_of_ours_is_invalid(server: RunningServer) -> None:
    error = refused(server.data.list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN, nextToken="bm90IG91cnM=")
    assert error["Error"]["Code"] == "ValidationException"


@pytest.mark.parametrize("operation", ["start_code_interpreter_session", "list_code_interpreter_sessions"])
def test_unknown_interpreter_is_not_found(server: RunningServer, operation: str) -> None:
    error = refused(getattr(server.data, operation), codeInterpreterIdentifier="nothing-0123456789")
    assert error["Error"]["Code"] == "ResourceNotFoundException"


@pytest.mark.parametrize("operation", ["stop_code_interpreter_session", "get_code_interpreter_session"])
def test_unknown_session_is_not_found(server: RunningServer, operation: str) -> None:
    error = refused(getattr(server.data, operation), codeInterpreterIdentifier=BUILT_IN, sessionId="0" * 26)
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("ResourceNotFoundException", 404)
    assert "is not active" not in error["Error"]["Message"]


@pytest.mark.parametrize("operation", ["stop_code_interpreter_session", "get_code_interpreter_session"])
def test_session_of_another_interpreter_is_not_found(
    server: RunningServer, session: ServedSession, interpreter: str, operation: str
) -> None:
    error = refused(getattr(server.data, operation), codeInterpreterIdentifier=interpreter, sessionId=session.id)
    assert error["Error"]["Code"] == "ResourceNotFoundException"


def test_session_starts_right_after_its_interpreter_is_created(server: RunningServer) -> None:
    made = server.create(f"fresh_{uuid4().hex[:12]}")
    with server.session(interpreter=made["codeInterpreterId"]) as session:
        assert session.printed("print('ready')") == "ready"


def test_start_with_the_same_client_token_gives_the_same_session(server: RunningServer, interpreter: str) -> None:
    token = uuid4().hex + uuid4().hex
    first, again = (server.start(interpreter=interpreter, clientToken=token, name="once") for _ in range(2))
    first.end()
    assert first.id == again.id
    assert [item.get("name") for item in listed(server, interpreter).values()].count("once") == 1


def test_start_with_the_same_client_token_and_other_parameters_is_a_mismatch(server: RunningServer) -> None:
    token = uuid4().hex + uuid4().hex
    with server.session(clientToken=token, name="one"):
        error = refused(server.data.start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN, clientToken=token, name="another")
    assert (error["Error"]["Code"], error["reason"]) == ("ValidationException", "IdempotentParameterMismatchException")


def test_sessions_started_at_once_are_apart(server: RunningServer) -> None:
    with server.session() as one, server.session() as other:
        one.write(here="1")
        one.printed("x = 1")
        assert other.invoke("listFiles")["content"] == []
        assert other.run("x")["isError"] is True


def test_expired_session_is_terminated_whatever_its_activity(server: RunningServer) -> None:
    session = server.start(sessionTimeoutSeconds=1)
    assert until(lambda: session.get()["status"] == "TERMINATED", seconds=10)
