"""`/mcp` of a server: who may come in, and how connections, sessions and calls begin and end."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from cellblock.mcp import connections
from cellblock.model.calls import Call
from cellblock.model.policies import Policy
from mcp_clients import headers_of, http_client, texts
from service.fake_clock import FakeClock
from service.fake_node import FakeCell, done
from service.served import BUILT_IN, Served, off_loop, serving, until

INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
ONLY_START = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*:StartCodeInterpreterSession", "Resource": "*"}]}'


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """A server."""
    async with serving(tmp_path / "data") as running:
        yield running


def token(served: Served) -> dict[str, str]:
    """The headers of the server's key."""
    return headers_of(served.key.id, served.key.secret)


async def run(client: Client, code: str = "1") -> types.CallToolResult:
    """Code that a client runs."""
    return await client.call_tool("execute_code", {"code": code})


async def posted(served: Served, headers: dict[str, str], message: Any = INITIALIZE, **more: Any) -> httpx2.Response:
    """What a bare request is answered."""
    async with httpx2.AsyncClient(timeout=30) as client:
        return await client.post(f"{served.endpoint}/mcp", headers=ACCEPT | headers, json=message, **more)


def live_sessions(served: Served) -> int:
    """How many cells have been used and are not closed."""
    return sum(1 for cell in served.node.cells if cell.calls and not cell.is_closed)


async def test_session_starts_with_the_first_call_and_ends_with_the_connection(served: Served) -> None:
    async with http_client(served.endpoint, token(served)) as client:
        await client.list_tools()
        assert live_sessions(served) == 0
        assert texts(await run(client, "print(1)")) == ["print(1)"]
        assert texts(await run(client, "print(2)")) == ["print(2)"]
        assert live_sessions(served) == 1
    await until(lambda: live_sessions(served) == 0)


async def test_each_connection_has_a_session_of_its_own(served: Served) -> None:
    async with http_client(served.endpoint, token(served)) as first, http_client(served.endpoint, token(served)) as second:
        await asyncio.gather(run(first), run(second))
        assert live_sessions(served) == 2


async def test_calls_that_come_together_start_one_session(served: Served) -> None:
    async with http_client(served.endpoint, token(served)) as client:
        await asyncio.gather(*(run(client, str(number)) for number in range(5)))
        assert live_sessions(served) == 1


async def test_old_and_new_clients_are_served(served: Served) -> None:
    for mode in ("legacy", "auto"):
        async with http_client(served.endpoint, token(served), mode=mode) as client:
            assert texts(await run(client, "hello")) == ["hello"]


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer nonsense", "Basic eDp5", "Bearer {id}.AAAA", "Bearer {id}.{secret}"])
async def test_nothing_but_a_token_of_a_key_opens_the_door(served: Served, authorization: str) -> None:
    forged = authorization.format(id=served.key.id, secret=served.key.secret)
    answer = await posted(served, {"Authorization": forged} if forged else {})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert served.key.secret not in answer.text


async def test_revoked_key_is_out_of_its_open_connection_too(served: Served) -> None:
    key = await served.other_key("agent")
    async with http_client(served.endpoint, headers_of(key.id, key.secret)) as client:
        assert texts(await run(client, "in")) == ["in"]
        async with served.store() as store:
            await store.revoke_access_key(key.id)
        with pytest.raises(MCPError):
            await run(client, "out")
    assert (await posted(served, headers_of(key.id, key.secret))).status_code == 401


async def test_policy_of_the_key_holds(served: Served) -> None:
    key = await served.other_key("starts only", policy=Policy.parse(ONLY_START.replace("*:Start", "bedrock-agentcore:Start")))
    async with http_client(served.endpoint, headers_of(key.id, key.secret)) as client:
        answer = await run(client)
    assert answer.is_error
    assert "AccessDeniedException" in texts(answer)[0]
    assert "InvokeCodeInterpreter" in texts(answer)[0]


async def test_another_key_cannot_use_a_connection(served: Served) -> None:
    key = await served.other_key("other")
    opened = await posted(served, token(served))
    stolen = {"Mcp-Session-Id": opened.headers["mcp-session-id"], "Mcp-Protocol-Version": "2025-11-25"}
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    assert (await posted(served, headers_of(key.id, key.secret) | stolen, ping)).status_code == 404
    assert (await posted(served, token(served) | stolen, ping)).status_code == 200


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}])
async def test_pages_of_others_are_refused_even_with_a_token(served: Served, headers: dict[str, str]) -> None:
    assert (await posted(served, token(served))).status_code == 200
    assert (await posted(served, token(served) | headers)).status_code == 403


async def test_pages_that_the_operator_names_are_let_in(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", mcp_origins=("https://chat.example",)) as served:
        page = {"Origin": "https://chat.example", "Host": "chat.example"}
        assert (await posted(served, token(served) | page)).status_code == 200


async def test_cancelled_call_is_interrupted_in_the_cell(served: Served) -> None:
    started = asyncio.Event()

    async def forever(cell: FakeCell, request: Call[Any]) -> Any:
        started.set()
        await asyncio.Event().wait()

    served.node.scripts["forever"] = forever
    async with http_client(served.endpoint, token(served)) as client:
        call = asyncio.create_task(run(client, "forever"))
        await started.wait()
        call.cancel()
        await until(lambda: served.node.cells[0].cancelled == 1)
        assert texts(await run(client, "next")) == ["next"]


async def test_long_call_tells_that_it_runs(served: Served) -> None:
    heard = asyncio.Event()

    async def until_heard(cell: FakeCell, request: Call[Any]) -> Any:
        await heard.wait()
        return done("done")

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        assert message == f"running for {progress:g} s: so far"
        heard.set()

    served.node.scripts["long"] = until_heard
    async with http_client(served.endpoint, token(served)) as client:
        answer = await client.call_tool("execute_code", {"code": "long"}, progress_callback=hear)
    assert texts(answer) == ["done"]


async def test_call_in_a_session_that_ended_says_so_and_the_next_one_has_a_fresh_session(served: Served) -> None:
    async with http_client(served.endpoint, token(served)) as client:
        await run(client)
        served.node.cells[0].die("its memory was over the limit")
        lost = await run(client, "print(x)")
        assert lost.is_error
        assert "its memory was over the limit" in texts(lost)[0]
        assert "next call starts a fresh one" in texts(lost)[0]
        assert texts(await run(client, "again")) == ["again"]


async def test_refusals_of_the_service_reach_the_model(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", max_sessions=1) as served:
        async with http_client(served.endpoint, token(served)) as first, http_client(served.endpoint, token(served)) as second:
            await run(first)
            answer = await run(second)
            assert answer.is_error
            assert texts(answer)[0].startswith("ServiceQuotaExceededException: ")
        async with http_client(served.endpoint, token(served)) as third:
            assert not (await run(third)).is_error  # the start that was refused is tried again


async def test_interpreter_of_the_query_is_used(served: Served) -> None:
    async with http_client(served.endpoint, token(served), query="?interpreter=no-such-1234567890") as client:
        answer = await run(client)
    assert texts(answer)[0].startswith("ResourceNotFoundException: ")


async def test_connection_that_rests_too_long_is_ended_with_its_session(tmp_path: Path) -> None:
    clock = FakeClock()
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serving(tmp_path / "data", clock=clock, mcp_idle_seconds=600))
        client = await stack.enter_async_context(http_client(served.endpoint, token(served)))
        await run(client)
        for _ in range(2):  # the end of the call's request may come after its answer, and counts as use
            await until(lambda: clock.waits_until(clock.now() + 600) or live_sessions(served) == 0)
            clock.advance(600)
        await until(lambda: live_sessions(served) == 0)
        with pytest.raises(MCPError, match=r"(?i)session"):
            await run(client)


async def test_key_with_too_many_connections_loses_the_one_that_rests_longest(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_PER_KEY", 3)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(http_client(served.endpoint, token(served))) for _ in range(3)]
        for client in clients:
            await run(client)
        fourth = await stack.enter_async_context(http_client(served.endpoint, token(served)))
        assert not (await run(fourth)).is_error
        await until(lambda: live_sessions(served) == 3)
        with pytest.raises(MCPError):
            await run(clients[0])


async def test_protocol_without_sessions_is_refused_by_name(served: Served) -> None:
    discover = {"jsonrpc": "2.0", "id": 7, "method": "server/discover", "params": {}}
    answer = await posted(served, token(served) | {"Mcp-Protocol-Version": "2026-07-28"}, discover)
    error = answer.json()["error"]
    assert (answer.status_code, answer.json()["id"], error["code"]) == (400, 7, types.UNSUPPORTED_PROTOCOL_VERSION)
    assert "2025-11-25" in error["data"]["supported"]


@pytest.mark.parametrize("message", [{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, [], "x", 7])
async def test_requests_that_open_no_connection_leave_none(served: Served, message: Any) -> None:
    assert (await posted(served, token(served), message)).status_code == 400


async def test_huge_request_is_refused(served: Served) -> None:
    answer = await posted(served, token(served), {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"x": "x" * 5_000_000}})
    assert answer.status_code == 413


async def test_server_stops_at_once_under_a_client_that_listens(tmp_path: Path) -> None:
    async with AsyncExitStack() as clients:
        async with serving(tmp_path / "data") as served:
            await run(await clients.enter_async_context(http_client(served.endpoint, token(served))))
            asked = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - asked < 4  # uvicorn would wait for five seconds


async def test_session_is_one_like_any_other(served: Served) -> None:
    async with http_client(served.endpoint, token(served)) as client:
        await run(client)
        (session,) = (await off_loop(served.data().list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN))["items"]
        assert (session["name"], session["status"]) == ("mcp", "READY")


def test_server_imports_nothing_of_the_protocol_before_it_is_asked() -> None:
    code = (
        "import sys, cellblock.commands.serve, cellblock.commands.mcp; print([name for name in sys.modules if name.split('.')[0] == 'mcp'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_what_a_client_does_stands_in_the_audit_log(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", audit="all") as served, http_client(served.endpoint, token(served)) as client:
        await run(client, "secret = 1")
    log = (tmp_path / "data" / "logs" / "audit.jsonl").read_text()
    lines = [line for line in map(json.loads, log.splitlines()) if line["operation"] != "SessionEnded"]
    names = ["StartCodeInterpreterSession", "InvokeCodeInterpreter", "StopCodeInterpreterSession"]
    assert [line["operation"] for line in lines] == names
    assert {(line["key"], line["from"]) for line in lines} == {(served.key.name, "127.0.0.1")}
    assert "secret = 1" not in log
