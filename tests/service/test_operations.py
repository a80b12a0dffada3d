"""Each operation over a real socket, as stock boto3 sees it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from service.served import BUILT_IN, Served, off_loop, refused, serving

ROLE = "arn:aws:iam::123456789012:role/CodeInterpreterRole"


async def create(served: Served, name: str, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = await off_loop(
        served.control().create_code_interpreter, name=name, networkConfiguration={"networkMode": "SANDBOX"}, **more
    )
    return made


async def test_session_starts_runs_and_stops(served: Served) -> None:
    session = await served.start(name="analysis", sessionTimeoutSeconds=60)
    assert re.fullmatch(r"[0-9A-Z]{26}", session.id)
    assert (await session.run("print(1)"))["structuredContent"]["stdout"] == "print(1)"
    assert (await session.get())["status"] == "READY"
    stopped = await session.stop()
    assert stopped["sessionId"] == session.id
    described = await session.get()
    assert (described["status"], described["name"], described["sessionTimeoutSeconds"]) == ("TERMINATED", "analysis", 60)


async def test_answer_repeats_the_session_id_in_its_header(served: Served) -> None:
    session = await served.start()
    arguments = {"language": "python", "code": "1"}
    answer = await off_loop(
        session.client.invoke_code_interpreter,
        codeInterpreterIdentifier=BUILT_IN,
        sessionId=session.id,
        name="executeCode",
        arguments=arguments,
    )
    assert answer["sessionId"] == session.id
    assert answer["ResponseMetadata"]["RequestId"]
    answer["stream"].close()


async def test_interpreter_is_created_described_listed_and_deleted(served: Served) -> None:
    made = await create(served, "my-interpreter", description="for tests", executionRoleArn=ROLE, tags={"team": "data"})
    assert re.fullmatch(r"my-interpreter-\w{10}", made["codeInterpreterId"])
    assert made["codeInterpreterArn"].startswith("arn:aws:bedrock-agentcore:us-west-2:")
    control = served.control()
    described = await off_loop(control.get_code_interpreter, codeInterpreterId=made["codeInterpreterId"])
    assert (described["name"], described["description"], described["executionRoleArn"]) == ("my-interpreter", "for tests", ROLE)
    assert described["networkConfiguration"] == {"networkMode": "SANDBOX"}
    assert abs((datetime.now(UTC) - described["createdAt"]).total_seconds()) < 60
    listed = await off_loop(control.list_code_interpreters, type="CUSTOM")
    assert [one["codeInterpreterId"] for one in listed["codeInterpreterSummaries"]] == [made["codeInterpreterId"]]
    deleted = await off_loop(control.delete_code_interpreter, codeInterpreterId=made["codeInterpreterId"])
    assert deleted["codeInterpreterId"] == made["codeInterpreterId"]
    error = await refused(control.get_code_interpreter, codeInterpreterId=made["codeInterpreterId"])
    assert error["Error"]["Code"] == "ResourceNotFoundException"


async def test_built_in_interpreter_is_listed_and_cannot_be_deleted(served: Served) -> None:
    control = served.control()
    listed = await off_loop(control.list_code_interpreters, type="SYSTEM")
    assert [one["codeInterpreterId"] for one in listed["codeInterpreterSummaries"]] == [BUILT_IN]
    error = await refused(control.delete_code_interpreter, codeInterpreterId=BUILT_IN)
    assert error["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)


async def test_lists_page_by_token(served: Served) -> None:
    sessions = {(await served.start()).id for _ in range(5)}
    found: list[str] = []
    paginator_arguments: dict[str, Any] = {"codeInterpreterIdentifier": BUILT_IN, "maxResults": 2}
    client = served.data()
    while True:
        page = await off_loop(client.list_code_interpreter_sessions, **paginator_arguments)
        assert len(page["items"]) <= 2
        found += [item["sessionId"] for item in page["items"]]
        if "nextToken" not in page:
            break
        paginator_arguments["nextToken"] = page["nextToken"]
    assert sorted(found) == sorted(sessions)


async def test_list_filters_by_status(served: Served) -> None:
    stopped, live = await served.start(), await served.start()
    await stopped.stop()
    for status, session in (("TERMINATED", stopped), ("READY", live)):
        page = await off_loop(served.data().list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN, status=status)
        assert [item["sessionId"] for item in page["items"]] == [session.id]
        assert page["items"][0]["lastUpdatedAt"]


async def test_start_with_the_same_client_token_gives_the_same_session(served: Served) -> None:
    token = "t" * 40
    first, again = await served.start(clientToken=token, name="a"), await served.start(clientToken=token, name="a")
    assert first.id == again.id
    error = await refused(served.data().start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN, clientToken=token, name="other")
    assert error["Error"]["Code"] == "ValidationException"
    assert error["reason"] == "IdempotentParameterMismatchException"
    assert len((await off_loop(served.data().list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN))["items"]) == 1


async def test_name_in_use_conflicts(served: Served) -> None:
    await create(served, "twice")
    error = await refused(served.control().create_code_interpreter, name="twice", networkConfiguration={"networkMode": "PUBLIC"})
    assert error["Error"]["Code"] == "ConflictException"
    assert error["Error"]["Message"] == "CodeInterpreter with name 'twice' already exists in this account"


async def test_interpreter_with_live_sessions_is_not_deleted(served: Served) -> None:
    made = await create(served, "busy")
    client = served.data()
    started = await off_loop(client.start_code_interpreter_session, codeInterpreterIdentifier=made["codeInterpreterId"])
    error = await refused(served.control().delete_code_interpreter, codeInterpreterId=made["codeInterpreterId"])
    assert error["Error"]["Code"] == "ConflictException"
    assert "1 live session" in error["Error"]["Message"]
    other = await refused(
        client.invoke_code_interpreter,
        codeInterpreterIdentifier=BUILT_IN,
        sessionId=started["sessionId"],
        name="listFiles",
        arguments={},
    )
    assert other["Error"]["Code"] == "ResourceNotFoundException"


async def test_unknown_interpreter_is_not_found(served: Served) -> None:
    error = await refused(served.data().start_code_interpreter_session, codeInterpreterIdentifier="nothing-ABCDEFGHIJ")
    assert error["Error"]["Code"] == "ResourceNotFoundException"
    assert served.node.open_cells == {served.node.cells[0]}, "only the pool's cell is open"


async def test_unknown_session_is_not_found(served: Served) -> None:
    client = served.data()
    named = {"codeInterpreterIdentifier": BUILT_IN, "sessionId": "0" * 26}
    for function, more in (
        (client.stop_code_interpreter_session, {}),
        (client.get_code_interpreter_session, {}),
        (client.invoke_code_interpreter, {"name": "listFiles", "arguments": {}}),
    ):
        error = await refused(function, **named, **more)
        assert error["Error"]["Code"] == "ResourceNotFoundException"


async def test_invoke_without_a_session_is_invalid(served: Served) -> None:
    error = await refused(served.data().invoke_code_interpreter, codeInterpreterIdentifier=BUILT_IN, name="listFiles", arguments={})
    assert error["Error"]["Code"] == "ValidationException"
    assert "is not active" not in error["Error"]["Message"]


async def test_invoke_on_a_stopped_session_says_why_and_when(served: Served) -> None:
    session = await served.start()
    await session.stop()
    error = await refused(
        session.client.invoke_code_interpreter, codeInterpreterIdentifier=BUILT_IN, sessionId=session.id, name="listFiles", arguments={}
    )
    assert error["Error"]["Code"] == "ValidationException"
    assert f"session {session.id} is not active" in error["Error"]["Message"]
    assert "stopped" in error["Error"]["Message"]


async def test_stopping_twice_conflicts(served: Served) -> None:
    session = await served.start()
    await session.stop()
    error = await refused(session.client.stop_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN, sessionId=session.id)
    assert (error["Error"]["Code"], error["Error"]["Message"]) == (
        "ConflictException",
        f"Session already terminated: {session.id} (stopped)",
    )


async def test_eleventh_session_is_over_the_quota(served: Served) -> None:
    for _ in range(10):
        await served.start()
    error = await refused(served.data().start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN)
    assert error["Error"]["Code"] == "ServiceQuotaExceededException"
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 402


async def test_start_that_finds_no_cell_leaves_no_session(data_dir: Path) -> None:
    async with serving(data_dir, pool_size=0) as served:
        served.node.is_broken = True
        client = served.data()
        error = await refused(client.start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN, clientToken="t" * 40)
        assert error["Error"]["Code"] == "InternalServerException"
        assert "cellblock doctor" in error["Error"]["Message"]
        assert (await off_loop(client.list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN))["items"] == []
        served.node.is_broken = False
        assert (await served.start(clientToken="t" * 40)).id, "the token is free again"


async def test_ping_answers_without_a_signature(served: Served) -> None:
    answer = await off_loop(httpx.get, f"{served.endpoint}/ping")
    assert (answer.status_code, answer.json()["status"]) == (200, "Healthy")
