"""What fails in a cluster, what its callers are told, and that it takes no longer than it may."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cluster_processes import ClusterProcess, RunningCluster
from processes import descendants, is_alive
from running_server import BUILT_IN, RunningServer, ServedSession, refused, until

LOST_SECONDS = 3  # of the fixture
BOUND_SECONDS = LOST_SECONDS + 7
WAIT = "open('begun', 'w').close(); import time; time.sleep(60)"


def node_named(running: RunningCluster, name: str) -> str:
    """The id of the node's incarnation of this moment."""
    return next(node.id for node in running.nodes() if node.name == name)


@contextmanager
def session_on(running: RunningCluster, name: str) -> Iterator[ServedSession]:
    """A session that this node has."""
    wanted = node_named(running, name)
    with ExitStack() as others:
        for _ in range(60):
            session = running.start()
            others.callback(end_quietly, session)
            if session.id.endswith(wanted):
                yield session
                return
    raise AssertionError(f"no session came to {name}")


def end_quietly(session: ServedSession) -> None:
    """What it was on may be gone."""
    with suppress(ClientError):
        session.end()


def begun(session: ServedSession, pool: ThreadPoolExecutor) -> Future[Any]:
    """A call that runs long, seen to have begun."""
    call = pool.submit(session.run, WAIT)
    until(lambda: "begun" in str(session.command("ls")["content"]))
    return call


def error_of(call: Future[Any]) -> tuple[str, str]:
    """What a call ends with that cannot end well."""
    error = call.exception(timeout=60)
    assert isinstance(error, ClientError), error
    return error.response["Error"]["Code"], error.response["Error"]["Message"]


@pytest.fixture
def third(running: RunningCluster) -> Iterator[ClusterProcess]:
    """A node more, for one test."""
    (node,) = running.cluster.start_nodes("n3")
    yield node
    if node.process.poll() is None:
        node.resume()
        node.stop()
    running.cluster.nodes.remove(node)


def seconds_until(value: Callable[[], Any], *, since: float) -> float:
    until(value)
    return time.monotonic() - since


def is_over(session: ServedSession) -> bool:
    """Whether the session is TERMINATED."""
    return bool(session.get()["status"] == "TERMINATED")


def test_killed_node_ends_its_sessions_with_that_reason_and_new_ones_go_elsewhere(running: RunningCluster, third: ClusterProcess) -> None:
    with session_on(running, "n3") as session, ThreadPoolExecutor() as pool:
        call = begun(session, pool)
        killed_at = time.monotonic()
        third.kill()
        code, message = error_of(call)
        assert (code, time.monotonic() - killed_at < 2) == ("InternalServerException", True), message
        assert "node n3" in message
        for _ in range(6):
            with running.session() as other:
                assert other.printed("print('alive')") == "alive"
        assert seconds_until(lambda: is_over(session), since=killed_at) < BOUND_SECONDS
        assert "node n3 was lost" in session.refused("executeCode", language="python", code="1")["Error"]["Message"]
        stopping = refused(session.client.stop_code_interpreter_session, **session.named)
        assert stopping["Error"]["Code"] == "ConflictException"


def test_stopped_node_is_taken_for_lost_and_comes_back_as_another(running: RunningCluster, third: ClusterProcess) -> None:
    before = node_named(running, "n3")
    with session_on(running, "n3") as session, ThreadPoolExecutor() as pool:
        call = begun(session, pool)
        stopped_at = time.monotonic()
        third.pause()
        code, message = error_of(call)
        assert (code, "node n3" in message and "lost" in message) == ("InternalServerException", True), message
        assert time.monotonic() - stopped_at < BOUND_SECONDS
        assert seconds_until(lambda: is_over(session), since=stopped_at) < BOUND_SECONDS
        with running.session() as other:
            assert other.printed("print('elsewhere')") == "elsewhere"
        third.resume()
        until(lambda: any(node.name == "n3" and node.id != before for node in running.nodes()))
        assert "was lost" in session.refused("executeCode", language="python", code="1")["Error"]["Message"]
    with session_on(running, "n3") as again:
        assert again.printed("print('again')") == "again"
    third.url = next(node.url for node in running.nodes() if node.name == "n3")


def test_killed_front_end_loses_no_session_and_no_call(running: RunningCluster) -> None:
    (extra,) = running.cluster.start_front_ends("c")
    try:
        doomed = RunningServer(extra.process, extra.url, extra.data_dir, running.key_id, running.secret).client("bedrock-agentcore")
        with running.session() as session, ThreadPoolExecutor() as pool:
            session.printed("x = 1")
            invoke = {**session.named, "name": "executeCode", "arguments": {"language": "python", "code": "x += 1; " + slowly("x")}}
            set_invocation(doomed, session.client)
            first = pool.submit(doomed.invoke_code_interpreter, **invoke)
            until(lambda: "begun" in str(session.command("ls")["content"]))
            extra.kill()
            assert first.exception(timeout=20) is not None
            (event,) = session.client.invoke_code_interpreter(**invoke)["stream"]  # the retry, through another front end
            assert event["result"]["structuredContent"]["stdout"] == "2"
            assert session.printed("print(x)") == "2"
    finally:
        running.cluster.front_ends.remove(extra)


def slowly(value: str) -> str:
    """Code that shows that it has begun, and ends a while later."""
    return f"open('begun', 'w').close(); import time; time.sleep(2); print({value})"


def set_invocation(*clients: Any) -> None:
    """One invocation id for what they send, as an SDK's attempts of one call have."""

    def send(request: Any, **_: object) -> None:
        if request.url.endswith("/tools/invoke") and b"x += 1" in request.body:
            request.headers["amz-sdk-invocation-id"] = "11111111-2222-3333-4444-555555555555"
            request.headers["amz-sdk-request"] = "attempt=1; max=3"

    for client in clients:
        client.meta.events.register("before-send", send)


def test_restart_of_the_database_is_ridden_out(running: RunningCluster, database: Any) -> None:
    before = {node.id for node in running.nodes()}
    with running.session() as session:
        session.printed("x = 1")
        database.stop()
        try:
            until_said = time.monotonic() + LOST_SECONDS + 1
            while time.monotonic() < until_said:
                assert session.printed("print(x)") == "1"
            error = refused(running.data.start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN)
            assert error["ResponseMetadata"]["HTTPStatusCode"] == 500
            assert "try again" in error["Error"]["Message"]
        finally:
            database.start()
        until(lambda: starts(running))
        assert session.printed("print(x)") == "1"
        assert {node.id for node in running.nodes()} == before


def starts(running: RunningCluster) -> bool:
    try:
        running.start().stop()
    except ClientError:
        return False
    return True


def test_node_with_a_parent_ends_with_it(running: RunningCluster) -> None:
    """Its parent holds the other end of its standard input; a killed one lets go of it."""
    holder = "import subprocess, sys; subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE).wait()"
    (node,) = running.cluster.start_nodes("child", within=[sys.executable, "-c", holder], options=["--with-parent"])
    below = descendants(node.process.pid)
    node.process.kill()
    until(lambda: not any(is_alive(pid) for pid in below))
    until(lambda: all(one.name != "child" for one in running.nodes()))
    running.cluster.nodes.remove(node)
