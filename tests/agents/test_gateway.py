"""Functions as tools: what clients are told of them, who may call them, and what goes wrong."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx2
import pytest
from mcp.client import Client
from mcp.server.mcpserver import MCPServer
from pydantic import Field

from cellblock.gateway import Gateway
from gateway_process import RunningGateway, serving_gateway
from mcp_clients import http_client, texts
from running_server import CELLBLOCK, environment

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
ACCEPT = {"Accept": "application/json, text/event-stream"}
TOOLS = '''
import helper
from cellblock.gateway import Gateway

gateway = Gateway(token="a token of our own", origins=("https://chat.example",))


@gateway.tool()
def double(number: int) -> int:
    """Twice the number."""
    return helper.double(number)


@gateway.tool("later")
async def answer_later(word: str = "done") -> str:
    return word


@gateway.tool()
def crash() -> str:
    raise RuntimeError("a path of this host")
'''


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway on a machine where no server runs; its file imports what lies beside it."""
    directory: Path = tmp_path_factory.mktemp("gateway")
    (directory / "helper.py").write_text("def double(number):\n    return 2 * number\n")
    (directory / "tools.py").write_text(TOOLS)
    with serving_gateway(directory / "tools.py", environment(data_dir=directory / "none")) as running:
        yield running


async def test_functions_are_called_and_typed(gateway: RunningGateway) -> None:
    async with http_client(gateway.url, gateway.headers) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["double", "later", "crash"]
        doubled = await client.call_tool("double", {"number": 21})
        assert (texts(doubled), doubled.structured_content) == (["42"], {"result": 42})
        assert texts(await client.call_tool("later", {"word": None})) == ["done"]
        assert (await client.call_tool("double", {"number": "x"})).is_error
        assert (await client.call_tool("double", {"number": None})).is_error


async def test_what_a_function_raises_stays_on_this_side(gateway: RunningGateway) -> None:
    async with http_client(gateway.url, gateway.headers) as client:
        crashed = await client.call_tool("crash", {})
    assert crashed.is_error
    assert "a path of this host" not in texts(crashed)[0]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer a token of our own"}, 200),
        ({"Authorization": "Bearer a token of our own", "Origin": "https://evil.example"}, 403),
        ({"Authorization": "Bearer a token of our own", "Host": "evil.example"}, 421),
    ],
)
async def test_only_who_has_the_token_comes_in_and_no_page_of_others(gateway: RunningGateway, headers: dict[str, str], status: int) -> None:
    async with httpx2.AsyncClient(timeout=30) as client:
        answer = await client.post(f"{gateway.url}/mcp", headers=ACCEPT | headers, json=INITIALIZE)
    assert answer.status_code == status


def test_gateway_without_a_key_has_a_token_nobody_can_guess(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", "BEDROCK_AGENTCORE_DP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CELLBLOCK_DATA_DIR", str(tmp_path))
    first, second = Gateway(), Gateway()
    assert first.token == first.token
    assert first.token != second.token
    assert len(first.token) >= 32


async def test_blocking_function_does_not_keep_others_waiting() -> None:
    gateway, let_go = Gateway(token="t"), threading.Event()

    @gateway.tool()
    def wait() -> str:
        assert let_go.wait(30)
        return "waited"

    @gateway.tool()
    def release() -> str:
        let_go.set()
        return "released"

    async with Client(MCPServer("test", tools=list(gateway._tools.values()))) as client:
        waiting = asyncio.create_task(client.call_tool("wait", {}))
        assert texts(await client.call_tool("release", {})) == ["released"]
        assert texts(await waiting) == ["waited"]


def test_name_is_given_once() -> None:
    gateway = Gateway(token="t")
    gateway.tool("one")(lambda: None)
    with pytest.raises(ValueError, match="has a tool one already"):
        gateway.tool("one")(lambda: None)


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({}, "has no input_schema"),
        ({"input_schema": {"properties": {"code": {}, "extra": {}}, "required": ["code"]}}, "the function has no parameter extra"),
        ({"input_schema": {"properties": {"code": {}}}}, "the function needs code, which the schema does not require"),
        ({"name": "other", "input_schema": {"properties": {"code": {}}, "required": ["code"]}}, "it has another name"),
    ],
)
def test_schema_that_does_not_fit_the_function_is_refused_when_it_is_given(schema: dict[str, Any], problem: str) -> None:
    def run(code: str, data: str = "") -> str:
        return code + data

    with pytest.raises(ValueError, match=problem):
        Gateway(token="t").tool("run", schema=schema)(run)


async def test_annotated_parameters_are_described() -> None:
    gateway = Gateway(token="t")

    @gateway.tool()
    def find(word: Annotated[str, Field(description="What to look for")]) -> str:
        return word

    async with Client(MCPServer("test", tools=list(gateway._tools.values()))) as client:
        (tool,) = (await client.list_tools()).tools
    assert tool.input_schema["properties"]["word"]["description"] == "What to look for"


@pytest.mark.parametrize(
    ("source", "said"), [("x = 1", "holds 0 gateways"), ("from cellblock.gateway import Gateway\na, b = Gateway(), Gateway()", "holds 2")]
)
def test_file_without_one_gateway_is_refused(tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "tools.py").write_text(source)
    done = subprocess.run([CELLBLOCK, "gateway", tmp_path / "tools.py"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert said in done.stderr
