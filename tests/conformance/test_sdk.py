"""The published bedrock-agentcore package, unmodified: every public method of its CodeInterpreter, and code_session."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from uuid import uuid4

import boto3
import pytest
from bedrock_agentcore.tools.code_interpreter_client import CodeInterpreter, code_session
from botocore.exceptions import ClientError

from running_server import BUILT_IN, REGION, Json, RunningServer, texts

ROLE = "arn:aws:iam::123456789012:role/CodeInterpreterRole"
PUBLIC = {
    "clear_context",
    "create_code_interpreter",
    "delete_code_interpreter",
    "download_file",
    "download_files",
    "execute_code",
    "execute_command",
    "get_code_interpreter",
    "get_session",
    "identifier",
    "install_packages",
    "invoke",
    "list_code_interpreters",
    "list_sessions",
    "session_id",
    "start",
    "stop",
    "upload_file",
    "upload_files",
}


@pytest.fixture(autouse=True)
def exported(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `eval "$(cellblock env)"` does; the package reads its own variables when it is imported, boto3's at every client."""
    for name, value in server.client_environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)


@pytest.fixture
def client() -> Iterator[CodeInterpreter]:
    """A started client."""
    with code_session(REGION) as started:
        yield started


def result(answer: Json) -> Json:
    """The one result of a call."""
    (event,) = answer["stream"]
    found: Json = event["result"]
    return found


def printed(answer: Json) -> str:
    return "\n".join(texts(result(answer)))


def test_these_tests_know_every_public_method_of_the_installed_package() -> None:
    found = {name for name, _ in inspect.getmembers(CodeInterpreter) if not name.startswith("_")}
    assert found == PUBLIC


def test_start_and_stop() -> None:
    client = CodeInterpreter(REGION)
    session_id = client.start()
    assert (client.session_id, client.identifier) == (session_id, BUILT_IN)
    assert client.stop() is True
    assert (client.session_id, client.identifier) == (None, None)


def test_stop_without_a_session() -> None:
    assert CodeInterpreter(REGION).stop() is True


def test_start_with_a_name_and_a_lifetime() -> None:
    client = CodeInterpreter(REGION)
    client.start(name="named", session_timeout_seconds=1800)
    found = client.get_session()
    client.stop()
    assert (found["name"], found["sessionTimeoutSeconds"], found["status"]) == ("named", 1800, "READY")


def test_get_session_of_another_client(client: CodeInterpreter) -> None:
    found = CodeInterpreter(REGION).get_session(interpreter_id=client.identifier, session_id=client.session_id)
    assert found["sessionId"] == client.session_id


def test_list_sessions(client: CodeInterpreter) -> None:
    first = client.list_sessions(status="READY", max_results=1)
    assert len(first["items"]) == 1
    found = first["items"]
    while "nextToken" in first:
        first = client.list_sessions(status="READY", max_results=100, next_token=first["nextToken"])
        found += first["items"]
    assert client.session_id in [item["sessionId"] for item in found]


def test_code_session_stops_its_session() -> None:
    with code_session(REGION) as client:
        session_id = client.session_id
    found = CodeInterpreter(REGION).get_session(interpreter_id=BUILT_IN, session_id=session_id)
    assert found["status"] == "TERMINATED"


def test_code_session_stops_its_session_after_a_failure() -> None:
    seen: list[str | None] = []

    def fail() -> None:
        with code_session(REGION) as client:
            seen.append(client.session_id)
            raise RuntimeError("of the caller")

    with pytest.raises(RuntimeError):
        fail()
    (session_id,) = seen
    assert CodeInterpreter(REGION).get_session(interpreter_id=BUILT_IN, session_id=session_id)["status"] == "TERMINATED"


def test_code_session_of_a_session_of_boto3_and_a_custom_interpreter() -> None:
    maker = CodeInterpreter(REGION)
    made = maker.create_code_interpreter(name=f"sdk_{uuid4().hex[:12]}", execution_role_arn=ROLE)["codeInterpreterId"]
    with code_session(REGION, session=boto3.Session(), identifier=made) as client:
        assert client.identifier == made
        assert printed(client.execute_code("print(1)")) == "1"
    maker.delete_code_interpreter(made)


def test_interpreter_is_created_described_listed_and_deleted() -> None:
    client = CodeInterpreter(REGION)
    name, token = f"sdk_{uuid4().hex[:12]}", uuid4().hex + uuid4().hex
    vpc = {"networkMode": "VPC", "vpcConfig": {"securityGroups": ["sg-01234567"], "subnets": ["subnet-01234567"]}}
    made = client.create_code_interpreter(
        name=name, execution_role_arn=ROLE, network_configuration=vpc, description="by the SDK", tags={"by": "sdk"}, client_token=token
    )
    described = client.get_code_interpreter(made["codeInterpreterId"])
    assert (described["name"], described["description"], described["networkConfiguration"]) == (name, "by the SDK", vpc)
    page = client.list_code_interpreters(interpreter_type="CUSTOM", max_results=100)
    found = page["codeInterpreterSummaries"]
    while "nextToken" in page:
        page = client.list_code_interpreters(interpreter_type="CUSTOM", max_results=100, next_token=page["nextToken"])
        found += page["codeInterpreterSummaries"]
    assert made["codeInterpreterId"] in [one["codeInterpreterId"] for one in found]
    assert client.delete_code_interpreter(made["codeInterpreterId"])["status"] == "DELETING"


def test_invoke_starts_a_session_by_itself() -> None:
    client = CodeInterpreter(REGION)
    assert result(client.invoke("listFiles"))["content"] == []
    assert client.session_id
    client.stop()


@pytest.mark.parametrize("tool", ["listFiles", "executeCode"])
def test_invoke_on_a_session_that_is_over_names_it(client: CodeInterpreter, tool: str) -> None:
    session_id, interpreter = client.session_id, client.identifier
    client.stop()
    client.session_id, client.identifier = session_id, interpreter
    with pytest.raises(ClientError, match=f"session {session_id} is not active"):
        client.invoke(tool, {"language": "python", "code": "1"} if tool == "executeCode" else None)
    client.session_id = None


def test_execute_code(client: CodeInterpreter) -> None:
    assert printed(client.execute_code("print(6 * 7)")) == "42"


def test_execute_code_that_clears_the_context(client: CodeInterpreter) -> None:
    client.execute_code("x = 1")
    assert "NameError" in printed(client.execute_code("print(x)", clear_context=True))


def test_clear_context(client: CodeInterpreter) -> None:
    client.execute_code("x = 1")
    assert result(client.clear_context())["isError"] is False
    assert "NameError" in printed(client.execute_code("print(x)"))


def test_execute_command(client: CodeInterpreter) -> None:
    assert printed(client.execute_command("echo hello")) == "hello"


def test_install_packages_that_are_preinstalled(client: CodeInterpreter) -> None:
    found = result(client.install_packages(["requests", "pandas>=1.5"]))
    assert found["isError"] is False
    assert "already satisfied" in texts(found)[0]


@pytest.mark.parametrize("content", ["a,b\n1,2\n", b"\x89PNG\xff\x00"])
def test_upload_and_download_a_file(client: CodeInterpreter, content: str | bytes) -> None:
    assert printed(client.upload_file("sub/file", content, description="for the test")) == "Successfully wrote all 1 files"
    assert client.download_file("sub/file") == content


def test_download_of_a_missing_file_is_file_not_found(client: CodeInterpreter) -> None:
    with pytest.raises(FileNotFoundError):
        client.download_file("nowhere.txt")


def test_upload_and_download_several_files(client: CodeInterpreter) -> None:
    client.upload_files([{"path": "a.txt", "content": "text"}, {"path": "b.bin", "content": b"\xff\x00"}])
    assert client.download_files(["a.txt", "b.bin", "missing"]) == {"/a.txt": "text", "/b.bin": b"\xff\x00"}
