"""`cellblock agent`: a handler in a process of its own, served as AgentCore Runtime does, with limits and restart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cellblock.agents.registry import every
from processes import descendants
from running_server import CELLBLOCK, RunningServer, environment, until

HANDLER = """
import os, time
from bedrock_agentcore.tools.code_interpreter_client import code_session

print("the module was imported", flush=True)

def handler(event, context):
    if event.get("die"):
        os._exit(7)
    if event.get("sleep"):
        time.sleep(event["sleep"])
    if event.get("megabytes"):
        return {"length": len(bytearray(event["megabytes"] * 1024 * 1024))}
    with code_session("us-east-1") as client:
        answer = client.invoke("executeCode", {"language": "python", "code": event["input"]})
        printed = [event["result"]["content"][0]["text"] for event in answer["stream"]]
        return {"statusCode": 200, "body": printed, "session": context.session_id}
"""


class Agents:
    """`cellblock agent` for one data directory."""

    def __init__(self, server: RunningServer, source: Path) -> None:
        self.server = server
        self.source = source

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [CELLBLOCK, "agent", *arguments]
        variables = environment(data_dir=self.server.data_dir)
        return subprocess.run(command, cwd=self.source, env=variables, capture_output=True, text=True, timeout=100)

    def done(self, *arguments: str) -> str:
        ended = self.run(*arguments)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def listed(self) -> dict[str, Any]:
        return {agent["name"]: agent for agent in json.loads(self.done("list", "--json"))}

    def deployed(self, name: str, *limits: str) -> str:
        """Its address."""
        self.done("create", "--name", name, "--handler", "agent_handler.handler", "--python", sys.executable, *limits)
        self.done("deploy", "--name", name)
        url: str = self.listed()[name]["url"]
        return url


@pytest.fixture
def agents(server: RunningServer, tmp_path: Path) -> Iterator[Agents]:
    """No agent of this test yet; those that it makes are deleted."""
    (tmp_path / "agent_handler.py").write_text(HANDLER)
    made = Agents(server, tmp_path)
    before = {agent.name for agent in every(server.data_dir)}
    yield made
    for name in {agent.name for agent in every(server.data_dir)} - before:
        made.done("delete", "--name", name)


@pytest.fixture(scope="module")
def steady(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Agents, str]]:
    """One agent for all tests that leave it as it is, and its address."""
    source = tmp_path_factory.mktemp("steady")
    (source / "agent_handler.py").write_text(HANDLER)
    made = Agents(server, source)
    yield made, made.deployed("steady", "--memory", "256", "--timeout", "3")
    made.done("delete", "--name", "steady")


def invoke(url: str, payload: dict[str, Any], **headers: str) -> httpx.Response:
    return httpx.post(f"{url}/invocations", json=payload, headers=headers, timeout=60)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ping", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_handler_is_invoked_over_http_and_uses_the_interpreter(steady: tuple[Agents, str]) -> None:
    _, url = steady
    assert httpx.get(f"{url}/ping").json()["status"] == "Healthy"
    answer = invoke(url, {"input": "print(6 * 7)"}, **{"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": "s" * 33})
    assert (answer.status_code, answer.json()) == (200, {"statusCode": 200, "body": ["42"], "session": "s" * 33})


def test_agent_is_listed_and_its_log_is_shown(steady: tuple[Agents, str]) -> None:
    agents, _ = steady
    assert (agents.listed()["steady"]["state"], "steady" in agents.done("list")) == ("running", True)
    assert "the module was imported" in agents.done("logs", "--name", "steady")


def test_memory_has_its_limit(steady: tuple[Agents, str]) -> None:
    _, url = steady
    assert invoke(url, {"megabytes": 10}).json() == {"length": 10 * 1024 * 1024}
    assert invoke(url, {"megabytes": 300}).status_code == 500


def test_agent_that_dies_is_started_again(steady: tuple[Agents, str]) -> None:
    agents, url = steady
    with pytest.raises(httpx.TransportError):
        invoke(url, {"die": True})
    assert until(lambda: answers(url))
    assert "ended with status 7" in agents.done("logs", "--name", "steady")


def test_invocation_over_its_time_is_answered_and_the_agent_starts_again(steady: tuple[Agents, str]) -> None:
    agents, url = steady
    answer = invoke(url, {"sleep": 100})
    assert (answer.status_code, "more than 3 s" in answer.json()["error"]) == (504, True)
    assert until(lambda: "ended with status 75" in agents.done("logs", "--name", "steady") and answers(url))


def test_second_deployment_runs_the_code_as_it_is_and_a_deletion_leaves_nothing(agents: Agents) -> None:
    url = agents.deployed("analyst")
    (agents.source / "agent_handler.py").write_text("def handler(event):\n    return {'version': 2}\n")
    agents.done("deploy", "--name", "analyst")
    assert invoke(url, {}).json() == {"version": 2}
    directory = agents.server.data_dir / "agents" / "analyst"
    pid = int((directory / "pid").read_text())
    below = descendants(pid)
    assert below
    agents.done("delete", "--name", "analyst")
    assert not answers(url)
    assert not directory.exists()
    assert not [one for one in (pid, *below) if Path(f"/proc/{one}/exe").exists()]


def test_handler_that_cannot_be_imported_is_told(agents: Agents) -> None:
    (agents.source / "agent_handler.py").write_text("import nothing_of_this_name\n")
    agents.done("create", "--name", "broken", "--handler", "agent_handler.handler", "--python", sys.executable)
    ended = agents.run("deploy", "--name", "broken")
    assert (ended.returncode, "nothing_of_this_name" in ended.stderr) == (1, True)
    assert agents.listed()["broken"]["state"] == "stopped"


def test_agent_ends_with_its_supervisor(agents: Agents) -> None:
    url = agents.deployed("analyst")
    pid = int((agents.server.data_dir / "agents" / "analyst" / "pid").read_text())
    (agent,) = descendants(pid)
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: not answers(url) and not Path(f"/proc/{agent}/exe").exists())
    assert agents.listed()["analyst"]["state"] == "stopped"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "--name", "../x", "--handler", "agent_handler.handler"), "no name of an agent"),
        (("create", "--name", "x", "--handler", "handler"), "MODULE.FUNCTION"),
        (("create", "--name", "x", "--handler", "missing.handler"), "missing.py is not there"),
        (("create", "--name", "x", "--handler", "agent_handler.handler", "--runtime", "nodejs20"), "nodejs20"),
        (("deploy", "--name", "x"), "there is no agent x"),
        (("logs", "--name", "x"), "there is no agent x"),
        (("delete", "--name", "x"), "there is no agent x"),
    ],
)
def test_mistakes_are_told_in_one_line(agents: Agents, arguments: tuple[str, ...], said: str) -> None:
    ended = agents.run(*arguments)
    assert (ended.returncode, said in ended.stderr, ended.stderr.count("\n")) == (1, True, 1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_environment_is_made_from_the_requirements(agents: Agents) -> None:
    (agents.source / "requirements.txt").write_text("humanize==4.9.0\n")
    (agents.source / "agent_handler.py").write_text(
        "import humanize, sys\ndef handler(event):\n    return {'said': humanize.intcomma(event['n']), 'python': sys.prefix}\n"
    )
    agents.done("create", "--name", "analyst", "--handler", "agent_handler.handler")
    agents.done("deploy", "--name", "analyst")
    answer = invoke(agents.listed()["analyst"]["url"], {"n": 1234567}).json()
    assert answer["said"] == "1,234,567"
    assert answer["python"] == str(agents.server.data_dir / "agents" / "analyst" / "environment")
