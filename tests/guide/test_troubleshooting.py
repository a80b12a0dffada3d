"""The errors that users know by the guide's names, and how each of them shows."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest

from running_server import BUILT_IN, CELLBLOCK, RunningServer, ServedSession, environment, refused, serving, texts


@pytest.fixture
def data() -> Any:
    """boto3's client of the data plane, with its own retries."""
    return boto3.client("bedrock-agentcore", region_name="us-east-1")


def test_session_not_found_exception_names_a_session_that_is_over(server: RunningServer) -> None:
    session = server.start()
    session.stop()
    message = session.refused("listFiles")["Error"]["Message"]
    assert message.startswith(f"SessionNotFoundException: Code interpreter session {session.id} is not active: ")


def test_session_not_found_exception_names_an_id_that_never_was(data: Any) -> None:
    error = refused(data.get_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN, sessionId="session-abc123")
    assert error["Error"]["Message"].startswith("SessionNotFoundException: ")
    assert "session-abc123" in error["Error"]["Message"]


def test_code_execution_timeout_exception_begins_the_text(tmp_path: Path) -> None:
    with serving(tmp_path / "data", call_timeout_seconds=1) as server, server.session() as session:
        result = session.run("print('so far', flush=True)\nimport signal; signal.pause()")
    assert texts(result)[0].startswith("CodeExecutionTimeoutException")
    assert "so far" in texts(result)[0]
    assert (result["isError"], result["structuredContent"]["exitCode"]) == (True, 124)


def test_resource_not_found_exception_for_an_unknown_interpreter(data: Any) -> None:
    with pytest.raises(data.exceptions.ResourceNotFoundException, match="my-interpreter"):
        data.start_code_interpreter_session(codeInterpreterIdentifier="my-interpreter-abcdefghij")


def test_validation_exception_for_bad_parameters(session: ServedSession) -> None:
    with pytest.raises(session.client.exceptions.ValidationException, match="language"):
        session.invoke("executeCode", language="fortran", code="1")


def test_service_quota_exceeded_exception_for_too_many_sessions(tmp_path: Path) -> None:
    with serving(tmp_path / "data", max_sessions=1) as server:
        server.start()
        with pytest.raises(server.data.exceptions.ServiceQuotaExceededException):
            server.start()


def test_access_denied_exception_for_a_key_without_the_right(server: RunningServer) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "bedrock-agentcore:Get*", "Resource": "*"}]})
    command = [CELLBLOCK, "keys", "create", "looker", "--policy", policy, "--json", "--data-dir", server.data_dir]
    made = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment()).stdout)
    client = server.client("bedrock-agentcore", key_id=made["accessKeyId"], secret=made["secretAccessKey"])
    with pytest.raises(client.exceptions.AccessDeniedException, match="StartCodeInterpreterSession on resource: arn:aws:"):
        client.start_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN)


def test_throttling_exception_says_when_to_come_again(tmp_path: Path) -> None:
    with serving(tmp_path / "data", interpreter_rate=1, rate_burst_seconds=1) as server:
        server.create("first")
        error = refused(server.create, name="second")
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("ThrottlingException", 429)
    assert float(error["ResponseMetadata"]["HTTPHeaders"]["retry-after"]) > 0
