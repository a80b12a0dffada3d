"""Calls that meet: at once, repeated, abandoned, over their time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cellblock.model.calls import Call, RunCode
from cellblock.service.attempts import Attempt
from cellblock.wire.head import read_head
from service.fake_clock import FakeClock
from service.fake_node import FakeCell, FakeNode, done
from service.served import BUILT_IN, Served, Session, invoke, off_loop, serving, until


class Gate:
    """Code that runs until the test lets it end."""

    def __init__(self, node: FakeNode, text: str = "wait") -> None:
        self.started = asyncio.Semaphore(0)
        self.open = asyncio.Event()
        self.runs = 0
        node.scripts[text] = self._run

    async def _run(self, cell: FakeCell, request: Call[Any]) -> Any:
        self.runs += 1
        self.started.release()
        await self.open.wait()
        return done(f"run {self.runs}\n")


def signed(served: Served, session_id: str, body: bytes, **headers: str) -> dict[str, str]:
    """The headers of a signed Invoke."""
    request = AWSRequest("POST", f"{served.endpoint}/code-interpreters/{BUILT_IN}/tools/invoke", data=body)
    request.headers["Content-Type"] = "application/json"
    request.headers["x-amzn-code-interpreter-session-id"] = session_id
    SigV4Auth(Credentials(served.key.id, served.key.secret), "bedrock-agentcore", "us-west-2").add_auth(request)
    return dict(request.headers.items()) | headers


WAIT = b'{"name":"executeCode","arguments":{"language":"python","code":"wait"}}'


@asynccontextmanager
async def connected(served: Served, session_id: str, **headers: str) -> AsyncIterator[None]:
    """An Invoke of `wait` whose connection is closed when the block ends."""
    place = urlsplit(served.endpoint)
    lines = [f"POST /code-interpreters/{BUILT_IN}/tools/invoke HTTP/1.1", f"Host: {place.netloc}", f"Content-Length: {len(WAIT)}"]
    lines += [f"{name}: {value}" for name, value in signed(served, session_id, WAIT, **headers).items()]
    _, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + WAIT)
    await writer.drain()
    try:
        yield
    finally:
        writer.close()
        await writer.wait_closed()


async def test_ten_calls_run_at_once_and_the_eleventh_is_over_the_quota(served: Served) -> None:
    session = await served.start()
    gate = Gate(served.node)
    running = [asyncio.create_task(session.run("wait")) for _ in range(10)]
    for _ in range(10):
        await gate.started.acquire()
    error = await session.refused("executeCode", language="python", code="wait")
    assert error["Error"]["Code"] == "ServiceQuotaExceededException"
    gate.open.set()
    assert all(result["isError"] is False for result in await asyncio.gather(*running))
    assert (await session.run("free again"))["isError"] is False


async def test_client_that_goes_away_interrupts_its_run(served: Served) -> None:
    session = await served.start()
    gate = Gate(served.node)
    async with connected(served, session.id):
        await gate.started.acquire()
    await until(lambda: session.cell.cancelled == 1)
    assert (await session.run("next"))["isError"] is False


async def test_sdk_that_may_come_again_is_waited_for_then_interrupted(data_dir: Path) -> None:
    clock = FakeClock()
    async with serving(data_dir, clock=clock) as served:
        session = await served.start()
        gate = Gate(served.node)
        again = {"amz-sdk-invocation-id": "call-1", "amz-sdk-request": "attempt=1; max=5"}
        async with connected(served, session.id, **again):
            await gate.started.acquire()
        await until(lambda: clock.waits_until(clock.now() + 1.5))
        assert session.cell.cancelled == 0
        clock.advance(1.5)
        await until(lambda: session.cell.cancelled == 1)
        answer = await off_loop(post, served, session.id, again)
        assert (answer.status_code, "interrupted" in answer.text, gate.runs) == (200, True, 1)


def post(served: Served, session_id: str, headers: dict[str, str], body: bytes = WAIT) -> httpx.Response:
    """A signed Invoke without the SDK."""
    url = f"{served.endpoint}/code-interpreters/{BUILT_IN}/tools/invoke"
    return httpx.post(url, content=body, headers=signed(served, session_id, body, **headers), timeout=30)


async def test_repeated_call_joins_the_run_that_its_client_left(served: Served) -> None:
    session = await served.start()
    gate = Gate(served.node)
    headers = {"amz-sdk-invocation-id": "call-1", "amz-sdk-request": "attempt=1; max=5"}
    async with connected(served, session.id, **headers):
        await gate.started.acquire()
    repeated = asyncio.create_task(off_loop(post, served, session.id, headers | {"amz-sdk-request": "attempt=2; max=5"}))
    gate.open.set()
    assert "run 1" in (await repeated).text
    assert gate.runs == 1


async def test_repeated_call_gets_its_result_again_for_a_minute(data_dir: Path) -> None:
    clock = FakeClock()
    async with serving(data_dir, clock=clock) as served:
        session = await served.start()
        gate = Gate(served.node)
        gate.open.set()
        headers = {"amz-sdk-invocation-id": "call-1"}
        texts = [(await off_loop(post, served, session.id, headers)).text for _ in range(2)]
        assert all("run 1" in text for text in texts)
        clock.advance(61)
        assert "run 2" in (await off_loop(post, served, session.id, headers)).text


async def test_other_body_under_the_same_invocation_id_runs(served: Served) -> None:
    session = await served.start()
    gate = Gate(served.node)
    gate.open.set()
    headers = {"amz-sdk-invocation-id": "call-1"}
    await off_loop(post, served, session.id, headers)
    await off_loop(post, served, session.id, headers, WAIT.replace(b'"wait"', b'"wait" '))
    assert gate.runs == 2


async def test_boto3_that_reads_too_impatiently_still_runs_code_once(served: Served) -> None:
    session = await served.start()
    gate = Gate(served.node)
    client = served.data(read_timeout=0.3, retries={"total_max_attempts": 4})
    call = asyncio.create_task(off_loop(invoke, client, session.id, "executeCode", {"language": "python", "code": "wait"}))
    await gate.started.acquire()
    async with connected(served, session.id):  # a second run shows that the server goes on meanwhile
        await gate.started.acquire()
    gate.open.set()
    assert (await call)["structuredContent"]["stdout"] in ("run 1", "run 2")
    assert gate.runs == 2


async def test_run_is_told_the_setting_and_never_past_the_client_s_patience(data_dir: Path) -> None:
    async with serving(data_dir, clock=FakeClock(), call_timeout_seconds=7) as served:
        assert _told_seconds(await _ran(served)) == 7
    async with serving(data_dir, clock=FakeClock()) as served:
        assert _told_seconds(await _ran(served)) == 291
    async with serving(data_dir, clock=FakeClock(), call_timeout_seconds=900) as served:
        assert _told_seconds(await _ran(served)) == 900


async def test_run_is_told_what_is_left_of_the_session(data_dir: Path) -> None:
    clock = FakeClock()
    async with serving(data_dir, clock=clock) as served:
        session = await served.start(sessionTimeoutSeconds=60)
        clock.advance(20)
        await session.run("1")
        assert _told_seconds(session) == 40


async def _ran(served: Served) -> Session:
    session = await served.start()
    await session.run("1")
    return session


def _told_seconds(session: Session) -> float:
    call = session.cell.calls[-1]
    assert isinstance(call, RunCode)
    return call.timeout_seconds


async def test_stop_ends_a_running_call_with_a_clear_error(served: Served) -> None:
    session = await served.start()
    gate = Gate(served.node)
    call = asyncio.create_task(session.refused("executeCode", language="python", code="wait"))
    await gate.started.acquire()
    await session.stop()
    error = await call
    assert error["Error"]["Code"] == "ValidationException"
    assert f"session {session.id} is not active" in error["Error"]["Message"]
    assert "stopped" in error["Error"]["Message"]


async def test_100_mb_are_written_in_one_call(served: Served) -> None:
    session = await served.start()
    data = bytes(100_000_000)
    written = await session.invoke("writeFiles", content=[{"path": "big.bin", "blob": data}])
    assert written["content"][0]["text"] == "Successfully wrote all 1 files"
    assert session.cell.files["big.bin"] == data


async def test_more_than_100_mb_are_refused_with_the_limit(served: Served) -> None:
    session = await served.start()
    half = bytes(50 * 1024 * 1024 + 1)
    error = await session.refused("writeFiles", content=[{"path": "a", "blob": half}, {"path": "b", "blob": half}])
    assert error["Error"]["Code"] == "ValidationException"
    assert str(100 * 1024 * 1024) in error["Error"]["Message"]


async def test_body_over_the_cap_is_refused_unread(served: Served) -> None:
    session = await served.start()

    def send() -> bytes:
        place = urlsplit(served.endpoint)
        with socket.create_connection((place.hostname, place.port)) as connection:
            headers = signed(served, session.id, b"") | {"Host": place.netloc, "Content-Length": str(10**12)}
            lines = [f"POST /code-interpreters/{BUILT_IN}/tools/invoke HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
            connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
            return connection.recv(4096)

    answer = await off_loop(send)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"ValidationException" in answer


async def test_large_bodies_wait_for_a_place(data_dir: Path) -> None:
    async with serving(data_dir, max_large_bodies=1) as served:
        session = await served.start()
        data = bytes(2 * 1024 * 1024)
        calls = [session.invoke("writeFiles", content=[{"path": f"f{number}", "blob": data}]) for number in range(6)]
        assert all(result["isError"] is False for result in await asyncio.gather(*calls))


@pytest.mark.parametrize(("value", "seconds"), [("attempt=1; max=5", 1.5), ("attempt=3; max=5", 4.5), ("attempt=5; max=5", 0.0), ("", 0.0)])
async def test_wait_for_a_repeat_follows_the_sdk_s_own_pause(value: str, seconds: float) -> None:
    head = read_head("POST", b"/", b"", [(b"amz-sdk-request", value.encode())])
    assert Attempt.read(head).retry_seconds == seconds


@pytest.mark.parametrize(("value", "urgency"), [("attempt=1; max=3", 0), ("attempt=2; max=3", 0.5), ("attempt=9; max=3", 1), ("max=x", 0)])
async def test_urgency_grows_with_the_attempts_that_a_client_has_made(value: str, urgency: float) -> None:
    assert Attempt.read(read_head("POST", b"/", b"", [(b"amz-sdk-request", value.encode())])).urgency == urgency
