"""LangChain's published code interpreter packages: every tool called for real, from plain code and from an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from bedrock_agentcore.tools.code_interpreter_client import CodeInterpreter, code_session
from langchain_agentcore_codeinterpreter import AgentCoreSandbox
from langchain_aws.tools import create_code_interpreter_toolkit
from langchain_core.tools import BaseTool

REGION = "us-east-1"
THREAD = {"configurable": {"thread_id": "one"}}
OTHER_THREAD = {"configurable": {"thread_id": "two"}}
Tools = dict[str, BaseTool]


@pytest.fixture
async def tools() -> AsyncIterator[Tools]:
    """The toolkit of langchain-aws; its sessions end with the test."""
    toolkit, _ = await create_code_interpreter_toolkit(region=REGION)
    yield toolkit.get_tools_by_name()
    await toolkit.cleanup()


@pytest.fixture
def client() -> Iterator[CodeInterpreter]:
    """A started client of the SDK."""
    with code_session(REGION) as started:
        yield started


@pytest.fixture
def sandbox(client: CodeInterpreter) -> AgentCoreSandbox:
    """The backend of Deep Agents."""
    return AgentCoreSandbox(interpreter=client)


def use(tools: Tools, name: str, **arguments: Any) -> str:
    """A tool as an agent calls it."""
    output: str = tools[name].invoke(arguments, config=THREAD)
    return output


def test_toolkit_runs_code_that_finds_what_ran_before(tools: Tools) -> None:
    assert use(tools, "execute_code", code="x = 6") == ""
    assert use(tools, "execute_code", code="print(x * 7)") == "42"
    assert "NameError" in use(tools, "execute_code", code="print(x)", clear_context=True)
    assert use(tools, "execute_code", code="console.log(typeof x)", language="javascript") == "undefined"


def test_toolkit_keeps_threads_apart(tools: Tools) -> None:
    use(tools, "execute_code", code="x = 6")
    assert "NameError" in tools["execute_code"].invoke({"code": "print(x)"}, config=OTHER_THREAD)


def test_toolkit_works_with_files(tools: Tools) -> None:
    files = [{"path": "data/a.csv", "text": "n\n1\n2\n"}, {"path": "b.txt", "text": "hello"}]
    assert use(tools, "write_files", files=files) == "Successfully wrote all 2 files"
    assert use(tools, "read_files", paths=["b.txt"]) == "==== File: /b.txt ====\nhello\n"
    assert use(tools, "list_files", directory_path="data") == ""  # the toolkit shows no links
    assert use(tools, "execute_command", command="wc -l < data/a.csv") == "3"
    assert use(tools, "delete_files", paths=["b.txt"]) == "Successfully removed all 1 files"
    assert "b.txt" in use(tools, "read_files", paths=["b.txt"])
    assert use(tools, "upload_file", path="c.csv", content="n\n5\n", description="numbers") == "Successfully wrote all 1 files"
    assert use(tools, "execute_code", code="import pandas as pd; print(pd.read_csv('c.csv').n.sum())") == "5"


def test_toolkit_finds_the_usual_packages_installed(tools: Tools) -> None:
    assert "already satisfied" in use(tools, "install_packages", packages=["numpy", "pandas"])


def test_toolkit_starts_tasks_and_names_those_it_cannot_find(tools: Tools) -> None:
    assert use(tools, "start_command_execution", command="sleep 60") == "Successfully started a command execution task"
    for tool in ("get_task", "stop_task"):
        assert "no-such-task" in use(tools, tool, task_id="no-such-task")


async def test_toolkit_runs_from_an_event_loop_several_tools_at_once(tools: Tools) -> None:
    calls = [tools["execute_command"].ainvoke({"command": f"echo {number}"}, config=THREAD) for number in range(4)]
    assert await asyncio.gather(*calls) == ["0", "1", "2", "3"]
    assert await tools["execute_code"].ainvoke({"code": "print(2 ** 10)"}, config=THREAD) == "1024"


def test_sandbox_runs_commands(sandbox: AgentCoreSandbox) -> None:
    assert sandbox.execute("echo hello && pwd").output == "hello\n/workspace"


def test_sandbox_moves_bytes_in_and_out(sandbox: AgentCoreSandbox) -> None:
    files = [("data/raw.bin", bytes(range(256))), ("text.txt", "grüße".encode())]
    assert [one.error for one in sandbox.upload_files(files)] == [None, None]
    read = sandbox.download_files(["data/raw.bin", "text.txt", "missing.txt"])
    assert [(one.content, one.error) for one in read] == [*((data, None) for _, data in files), (None, "file_not_found")]


def test_sandbox_reads_edits_lists_and_searches(sandbox: AgentCoreSandbox) -> None:
    assert sandbox.write("notes/a.md", "alpha\nbeta\n").error is None
    assert sandbox.edit("notes/a.md", "beta", "gamma").error is None
    read = sandbox.read("notes/a.md")
    assert (read.error, "gamma" in str(read.file_data)) == (None, True)
    assert [entry["path"] for entry in sandbox.ls("notes").entries or ()] == ["/workspace/notes/a.md"]
    assert [match["line"] for match in sandbox.grep("gamma", path="notes").matches or ()] == [2]
    assert [found["path"] for found in sandbox.glob("**/*.md", path="notes").matches or ()] == ["/workspace/notes/a.md"]


async def test_sandbox_does_the_same_from_an_event_loop(sandbox: AgentCoreSandbox) -> None:
    assert (await sandbox.awrite("b.md", "one\n")).error is None
    assert (await sandbox.aedit("b.md", "one", "two")).error is None
    assert "two" in str((await sandbox.aread("b.md")).file_data)
    assert (await sandbox.aexecute("cat b.md")).output == "two"
    (downloaded,) = await sandbox.adownload_files(["b.md"])
    assert downloaded.content == b"two\n"
    assert [entry["path"] for entry in (await sandbox.als("")).entries or ()] == ["/workspace/b.md"]
    assert [match["line"] for match in (await sandbox.agrep("two", path="/workspace")).matches or ()] == [1]
    assert (await sandbox.aglob("*.md", path="/workspace")).matches
