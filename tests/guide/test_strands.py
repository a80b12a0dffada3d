"""A Strands agent with the published code interpreter tool: the model is a script, its tool calls and their results are real."""

from __future__ import annotations

import ast
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from strands import Agent
from strands.models.model import Model
from strands_tools.code_interpreter import AgentCoreCodeInterpreter

from running_server import BUILT_IN, Json, RunningServer

REGION = "us-east-1"
SYSTEM_PROMPT = "You validate answers by running code. Prefer computation over estimation for numerical questions."
FIBONACCI = "What is the 50th Fibonacci number?"
PRIME = "Is 104729 a prime number?"
DEVIATION = "What's the standard deviation of [23, 45, 67, 89, 12, 34, 56]?"
ACTIONS: dict[str, Json] = {
    FIBONACCI: {"type": "executeCode", "code": "a, b = 0, 1\nfor _ in range(50):\n    a, b = b, a + b\nprint(a)"},
    PRIME: {"type": "executeCode", "code": "import sympy\nprint(sympy.isprime(104729))"},
    DEVIATION: {"type": "executeCode", "code": "import statistics\nprint(f'{statistics.stdev([23, 45, 67, 89, 12, 34, 56]):.2f}')"},
    "again": {"type": "executeCode", "code": "print(a)"},
    "write": {"type": "writeFiles", "content": [{"path": "notes.txt", "text": "kept"}, {"path": "raw.bin", "blob": "AAEC"}]},
    "command": {"type": "executeCommand", "command": "cat notes.txt"},
    "list": {"type": "listFiles", "path": "."},
    "read": {"type": "readFiles", "paths": ["notes.txt"]},
    "remove": {"type": "removeFiles", "paths": ["notes.txt"]},
    "script": {"type": "executeCode", "language": "javascript", "code": "console.log([1, 2, 3].length)"},
}


class Scripted(Model):
    """A model provider that answers a prompt with a tool call and the tool's result with its text."""

    def update_config(self, **model_config: Any) -> None:
        """Nothing to configure."""

    def get_config(self) -> Json:
        """Nothing is configured."""
        return {}

    def structured_output(self, output_model: Any, prompt: Any, system_prompt: str | None = None, **more: Any) -> Any:
        """Never asked for here."""
        raise NotImplementedError

    async def stream(self, messages: Any, tool_specs: Any = None, system_prompt: str | None = None, **more: Any) -> AsyncIterator[Any]:
        """One message, in the pieces that a provider streams."""
        (block, *_) = messages[-1]["content"]
        yield {"messageStart": {"role": "assistant"}}
        if "toolResult" in block:
            yield {"contentBlockDelta": {"delta": {"text": block["toolResult"]["content"][0]["text"]}}}
        else:
            (tool,) = tool_specs
            yield {"contentBlockStart": {"start": {"toolUse": {"name": tool["name"], "toolUseId": f"use-{len(messages)}"}}}}
            arguments = json.dumps({"code_interpreter_input": {"action": ACTIONS[block["text"]]}})
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": arguments}}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn" if "toolResult" in block else "tool_use"}}


@pytest.fixture
def tool(server: RunningServer) -> Iterator[AgentCoreCodeInterpreter]:
    """The published tool; the sessions that it leaves behind on purpose are stopped."""
    yield AgentCoreCodeInterpreter(region=REGION)
    listed = server.data.list_code_interpreter_sessions(codeInterpreterIdentifier=BUILT_IN, status="READY")
    for session in listed["items"]:
        server.data.stop_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN, sessionId=session["sessionId"])


@pytest.fixture
def agent(tool: AgentCoreCodeInterpreter) -> Agent:
    """The guide's agent with a model that needs no network."""
    return Agent(model=Scripted(), tools=[tool.code_interpreter], system_prompt=SYSTEM_PROMPT, callback_handler=None)


def content(agent: Agent, prompt: str) -> list[Json]:
    """The blocks that the tool gave, which the model repeats as its answer."""
    answer = agent(prompt).message["content"][0]["text"]
    blocks: list[Json] = ast.literal_eval(answer)  # the tool shows the model Python's notation
    return blocks


@pytest.mark.parametrize(("prompt", "answer"), [(FIBONACCI, "12586269025"), (PRIME, "True"), (DEVIATION, "26.51")])
def test_agent_answers_by_running_code(agent: Agent, prompt: str, answer: str) -> None:
    assert content(agent, prompt) == [{"type": "text", "text": answer}]


def test_agent_keeps_its_variables_between_prompts(agent: Agent) -> None:
    assert content(agent, FIBONACCI) == content(agent, "again")


def test_agent_uses_files_commands_and_another_language(agent: Agent) -> None:
    assert content(agent, "write")[0]["text"] == "Successfully wrote all 2 files"
    assert content(agent, "command")[0]["text"] == "kept"
    assert sorted(link["name"] for link in content(agent, "list")) == ["notes.txt", "raw.bin"]
    assert content(agent, "read")[0]["resource"]["text"] == "kept"
    assert content(agent, "remove")[0]["text"] == "Successfully removed all 1 files"
    assert content(agent, "script")[0]["text"] == "3"


def test_a_second_tool_of_the_same_name_reconnects_to_the_session(tool: AgentCoreCodeInterpreter) -> None:
    first = AgentCoreCodeInterpreter(region=REGION, session_name="kept-by-name")
    second = AgentCoreCodeInterpreter(region=REGION, session_name="kept-by-name")
    set_up = {"action": {"type": "executeCode", "code": "x = 41"}}
    use = {"action": {"type": "executeCode", "code": "print(x + 1)"}}
    first.code_interpreter(code_interpreter_input=set_up)
    assert "'42'" in second.code_interpreter(code_interpreter_input=use)["content"][0]["text"]
