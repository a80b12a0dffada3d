"""An agent's handler behind AgentCore Runtime's contract: served by the published SDK's app, and by `cellblock agent`."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from running_server import CELLBLOCK, RunningServer, environment, until

MODEL = """
import json
from strands.models.model import Model

class Scripted(Model):
    def update_config(self, **config): ...
    def get_config(self): return {}
    def structured_output(self, *arguments, **more): raise NotImplementedError

    async def stream(self, messages, tool_specs=None, system_prompt=None, **more):
        block = messages[-1]["content"][0]
        is_answered = "toolResult" in block
        yield {"messageStart": {"role": "assistant"}}
        if is_answered:
            yield {"contentBlockDelta": {"delta": {"text": block["toolResult"]["content"][0]["text"]}}}
        else:
            code = f"print(sum(range({int(block['text'])})))"
            action = {"action": {"type": "executeCode", "language": "python", "code": code}}
            yield {"contentBlockStart": {"start": {"toolUse": {"name": tool_specs[0]["name"], "toolUseId": "use-1"}}}}
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps({"code_interpreter_input": action})}}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn" if is_answered else "tool_use"}}
"""
HANDLER = """
import json
from scripted import Scripted
from strands import Agent
from strands_tools.code_interpreter import AgentCoreCodeInterpreter

def handler(event, context):
    code_interpreter = AgentCoreCodeInterpreter(region="us-east-1")
    agent = Agent(
        model=Scripted(), tools=[code_interpreter.code_interpreter], system_prompt="You are a data analyst.", callback_handler=None
    )
    response = agent(event.get("input", ""))
    return {"statusCode": 200, "body": json.dumps({"response": response.message["content"][0]["text"]})}
"""
SERVE = """
import sys
from agent_handler import handler
from bedrock_agentcore.runtime import BedrockAgentCoreApp

app = BedrockAgentCoreApp()
app.entrypoint(handler)
app.run(port=int(sys.argv[1]), host="127.0.0.1")
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The directory of the handler."""
    (tmp_path / "scripted.py").write_text(MODEL)
    (tmp_path / "agent_handler.py").write_text(HANDLER)
    return tmp_path


@pytest.fixture
def served(source: Path, server: RunningServer) -> Iterator[str]:
    """The handler in the SDK's own app."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with subprocess.Popen([sys.executable, "-c", SERVE, port], cwd=source, env=server.client_environment()) as process:
        until(lambda: is_healthy(f"http://127.0.0.1:{port}"))
        yield f"http://127.0.0.1:{port}"
        process.terminate()


@pytest.fixture
def deployed(source: Path, server: RunningServer) -> Iterator[str]:
    """The same by the two commands, whose options are those of `agentcore`."""
    variables = environment(data_dir=server.data_dir)

    def agent(*arguments: str) -> str:
        command = [CELLBLOCK, "agent", *arguments]
        return subprocess.run(command, cwd=source, env=variables, capture_output=True, text=True, timeout=100, check=True).stdout

    limits = ["--runtime", "python3.11", "--memory", "512", "--timeout", "300"]
    agent("create", "--name", "data-analyst-agent", "--handler", "agent_handler.handler", *limits, "--python", sys.executable)
    agent("deploy", "--name", "data-analyst-agent")
    yield json.loads(agent("list", "--json"))[0]["url"]
    agent("delete", "--name", "data-analyst-agent")


def is_healthy(url: str) -> bool:
    try:
        return bool(httpx.get(f"{url}/ping").json()["status"] == "Healthy")
    except httpx.TransportError:
        return False


def asked(url: str) -> str:
    answer = httpx.post(f"{url}/invocations", json={"input": "101"}, timeout=60).json()
    assert answer["statusCode"] == 200
    response: str = json.loads(answer["body"])["response"]
    return response


def test_handler_answers_in_the_sdks_app(served: str) -> None:
    assert "5050" in asked(served)


def test_handler_answers_where_it_is_deployed(deployed: str) -> None:
    assert is_healthy(deployed)
    assert "5050" in asked(deployed)
