"""The gateway as the guide has it, with the guide's own import path: a function that runs code becomes a tool of MCP clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_process import RunningGateway, serving_gateway
from mcp_clients import http_client, texts
from running_server import RunningServer

ALIAS = """\
import sys

import cellblock.gateway

sys.modules["bedrock_agentcore.gateway"] = cellblock.gateway  # AWS's package has the module, without the class
"""
TOOLS = '''
from bedrock_agentcore.gateway import Gateway
from bedrock_agentcore.tools.code_interpreter_client import code_session

tool_schema = {
    "name": "execute_analysis",
    "description": "Execute Python code for data analysis",
    "input_schema": {
        "type": "object",
        "properties": {
            "code": {"type": "string", "description": "Python code to execute"},
            "data": {"type": "string", "description": "Optional CSV data to analyze"},
        },
        "required": ["code"],
    },
}

gateway = Gateway(region="us-east-1")


@gateway.tool("execute_analysis")
def execute_analysis(code: str, data: str = None) -> dict:
    """Runs an analysis."""
    with code_session("us-east-1") as client:
        if data:
            client.invoke("writeFiles", {"content": [{"path": "input.csv", "text": data}]})
        answer = client.invoke("executeCode", {"language": "python", "code": code})
        output = []
        for event in answer["stream"]:
            for content in event.get("result", {}).get("content", []):
                if content["type"] == "text":
                    output.append(content["text"])
        return {"output": "\\n".join(output)}


@gateway.tool("execute_analysis_as_described", schema=tool_schema | {"name": "execute_analysis_as_described"})
def described(code: str, data: str = None) -> dict:
    return execute_analysis(code, data)
'''
MEAN = "import pandas as pd\nprint(pd.read_csv('input.csv')['value'].mean())"


@pytest.fixture(scope="module")
def gateway(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """The file, served in the environment of `cellblock env`."""
    file: Path = tmp_path_factory.mktemp("gateway") / "tools.py"
    file.write_text(ALIAS + TOOLS)
    with serving_gateway(file, server.client_environment()) as running:
        yield running


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_function_runs_code_on_data_for_an_mcp_client(gateway: RunningGateway, mode: str) -> None:
    async with http_client(gateway.url, gateway.headers, mode=mode) as client:
        answer = await client.call_tool("execute_analysis", {"code": MEAN, "data": "name,value\nA,100\nB,200\n"})
        assert not answer.is_error, answer
        assert '"output": "150.0"' in texts(answer)[0]


@pytest.mark.parametrize("arguments", [{"code": "print(6 * 7)"}, {"code": "print(6 * 7)", "data": None}])
async def test_data_may_be_left_out(gateway: RunningGateway, arguments: dict[str, str | None]) -> None:
    async with http_client(gateway.url, gateway.headers) as client:
        assert '"output": "42"' in texts(await client.call_tool("execute_analysis", arguments))[0]


async def test_schema_of_the_signature_is_the_one_that_the_guide_writes_down(gateway: RunningGateway) -> None:
    async with http_client(gateway.url, gateway.headers) as client:
        by_signature, by_schema = (await client.list_tools()).tools
    for tool in (by_signature, by_schema):
        assert {name: one["type"] for name, one in tool.input_schema["properties"].items()} == {"code": "string", "data": "string"}
        assert tool.input_schema["required"] == ["code"]
    assert (by_signature.description, by_schema.description) == ("Runs an analysis.", "Execute Python code for data analysis")
    assert by_schema.input_schema["properties"]["data"]["description"] == "Optional CSV data to analyze"


async def test_gateway_and_server_take_the_same_token(gateway: RunningGateway, server: RunningServer) -> None:
    async with http_client(server.url, gateway.headers) as client:
        assert texts(await client.call_tool("execute_code", {"code": "print(1)"})) == ["1"]
