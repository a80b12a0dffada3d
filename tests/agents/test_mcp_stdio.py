"""`cellblock mcp`: one command gives an MCP client a code interpreter, whether or not a server runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from cellblock.runtime.builds import Runtime
from cellblock.settings import table
from mcp_clients import texts
from processes import descendants
from running_server import BUILT_IN, CELLBLOCK, RunningServer, environment, until

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
CALL = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "execute_code", "arguments": {"code": "print(6 * 7)"}}}


@pytest.fixture
def home(tmp_path: Path, built_runtime: Runtime) -> dict[str, str]:
    """The environment of a user who has never used cellblock; what sessions see is built already, because that takes minutes."""
    bare = {"HOME": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    return bare | {"CELLBLOCK_DATA_DIR": str(tmp_path / "data"), "CELLBLOCK_CACHE_DIR": str(table.load().cache_dir)}


def started(environment: dict[str, str]) -> StdioServerParameters:
    """The command alone."""
    return StdioServerParameters(command=str(CELLBLOCK), args=["mcp"], env=environment)


def left_in(directory: Path) -> list[Path]:
    """What private servers have left there."""
    return list(directory.glob("cellblock-mcp-*"))


def configured(home: dict[str, str]) -> StdioServerParameters:
    """What a client makes of the printed configuration."""
    printed = subprocess.run([CELLBLOCK, "mcp", "--print-config"], env=home, capture_output=True, text=True, check=True)
    entry = json.loads(printed.stdout)["mcpServers"]["cellblock"]
    return StdioServerParameters(command=entry["command"], args=entry["args"], env=home)


async def test_one_command_is_enough_in_a_fresh_home(home: dict[str, str], tmp_path: Path) -> None:
    async with Client(configured(home)) as client:
        assert "execute_code" in {tool.name for tool in (await client.list_tools()).tools}
        assert texts(await client.call_tool("execute_code", {"code": "x = 6"})) == ["(no output)"]
        assert texts(await client.call_tool("execute_code", {"code": "print(x * 7)"})) == ["42"]
    assert left_in(tmp_path) == []


async def test_running_server_of_the_data_directory_is_used(server: RunningServer, home: dict[str, str]) -> None:
    async with Client(started(home | {"CELLBLOCK_DATA_DIR": str(server.data_dir)}), mode="legacy") as client:
        assert texts(await client.call_tool("execute_code", {"code": "print(1)"})) == ["1"]
        assert len(live(server)) == 1
    until(lambda: live(server) == [])


async def test_server_that_the_environment_names_is_used(server: RunningServer, home: dict[str, str]) -> None:
    named = {name: value for name, value in server.client_environment().items() if name.startswith("AWS_")}
    async with Client(started(home | named)) as client:
        assert texts(await client.call_tool("execute_code", {"code": "print(2)"})) == ["2"]
        assert len(live(server)) == 1
    until(lambda: live(server) == [])


async def test_progress_and_errors_come_through(server: RunningServer, home: dict[str, str]) -> None:
    heard: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async with Client(started(home | {"CELLBLOCK_DATA_DIR": str(server.data_dir)})) as client:
        await client.call_tool("execute_code", {"code": "import time\nprint('step 1')\ntime.sleep(1.5)"}, progress_callback=hear)
        assert "running for 1 s: step 1" in heard
        assert (await client.call_tool("execute_code", {"code": "1 / 0"})).is_error


async def test_connection_that_is_lost_is_made_again(server: RunningServer, home: dict[str, str], tmp_path: Path) -> None:
    wrong = {"AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    async with Client(started(home | wrong)) as client:
        for _ in range(2):
            answer = await client.call_tool("execute_code", {"code": "1"})
            assert answer.is_error
            assert "could not be reached" in texts(answer)[0]


def live(server: RunningServer) -> list[Any]:
    """The server's sessions of MCP clients."""
    listed = server.data.list_code_interpreter_sessions(codeInterpreterIdentifier=BUILT_IN, status="READY")["items"]
    return [session for session in listed if session["name"] == "mcp"]


def test_signal_ends_it_and_all_that_it_started(home: dict[str, str], tmp_path: Path) -> None:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([CELLBLOCK, "mcp"], env=environment() | home, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for message in (INITIALIZE, {"jsonrpc": "2.0", "method": "notifications/initialized"}, CALL):
            process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert answers[1]["result"]["content"][0]["text"] == "42"
        below = descendants(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert below
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in below))
    assert left_in(tmp_path) == []


def test_configuration_for_http_names_the_server_and_a_token(server: RunningServer, home: dict[str, str]) -> None:
    at_server = home | {"CELLBLOCK_DATA_DIR": str(server.data_dir)}
    printed = subprocess.run([CELLBLOCK, "mcp", "--print-config", "--http"], env=at_server, capture_output=True, text=True, check=True)
    entry = json.loads(printed.stdout)["mcpServers"]["cellblock"]
    assert (entry["type"], entry["url"]) == ("http", f"{server.url}/mcp")
    assert entry["headers"]["Authorization"].startswith(f"Bearer {server.key_id}.")
    assert server.secret not in printed.stdout


def test_configuration_for_http_without_a_server_says_how_to_start_one(home: dict[str, str]) -> None:
    done = subprocess.run([CELLBLOCK, "mcp", "--print-config", "--http"], env=home, capture_output=True, text=True)
    assert done.returncode == 1
    assert "cellblock serve" in done.stderr
