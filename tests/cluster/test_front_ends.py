"""Two front ends before two nodes are one service: whatever is known at one is known at the other."""

from __future__ import annotations

import functools
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cluster_processes import RunningCluster
from running_server import BUILT_IN, RunningServer, ServedSession, refused, until


def at(running: RunningCluster, which: int) -> Any:
    """A client of one front end alone."""
    one = running.cluster.front_ends[which]
    return RunningServer(one.process, one.url, one.data_dir, running.key_id, running.secret).client("bedrock-agentcore")


def through(session: ServedSession, client: Any) -> ServedSession:
    """The same session for a client of another front end."""
    return ServedSession(session.server, client, session.interpreter, session.id)


def test_session_is_found_by_every_front_end(running: RunningCluster) -> None:
    with running.session() as session:
        first, second = through(session, at(running, 0)), through(session, at(running, 1))
        first.printed("x = 6")
        assert second.printed("print(x * 7)") == "42"
        assert second.get()["status"] == "READY"
        second.stop()
        assert first.get()["status"] == "TERMINATED"
        assert "stopped" in first.refused("executeCode", language="python", code="1")["Error"]["Message"]


def test_sessions_are_spread_over_the_nodes(running: RunningCluster) -> None:
    with ThreadPoolExecutor(4) as pool:
        sessions = list(pool.map(lambda _: running.start(), range(8)))
    assert {session.id[26:] for session in sessions} == {node.id for node in running.nodes()}
    for session in sessions:
        session.end()


def test_a_client_token_makes_one_session_at_both_front_ends(running: RunningCluster) -> None:
    token = uuid.uuid4().hex * 2
    with ThreadPoolExecutor(2) as pool:
        start = {"codeInterpreterIdentifier": BUILT_IN, "clientToken": token}
        made = list(pool.map(lambda which: at(running, which).start_code_interpreter_session(**start), (0, 1)))
    assert made[0]["sessionId"] == made[1]["sessionId"]
    session = ServedSession(running, running.data, BUILT_IN, made[0]["sessionId"])
    assert session.printed("print(1)") == "1"
    session.end()


def test_retry_at_the_other_front_end_meets_the_first_attempt(running: RunningCluster) -> None:
    with running.session() as session:
        code = "open('count', 'a').write('x'); import time; time.sleep(1); print(open('count').read())"
        named = {**session.named, "name": "executeCode", "arguments": {"language": "python", "code": code}}
        invocation = str(uuid.uuid4())
        clients = [at(running, which) for which in (0, 1)]
        for client in clients:
            client.meta.events.register("before-send", functools.partial(_set_header, "amz-sdk-invocation-id", invocation))
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda client: list(client.invoke_code_interpreter(**named)["stream"]), clients))
        outputs = {answer[0]["result"]["structuredContent"]["stdout"] for answer in answers}
        assert outputs == {"x"}


def _set_header(name: str, value: str, request: Any, **_: object) -> None:
    """Of a prepared request; botocore leaves this one unsigned."""
    request.headers[name] = value


def test_unsigned_request_gets_no_further_than_the_front_end(running: RunningCluster) -> None:
    with running.session() as session:
        stranger = running.client("bedrock-agentcore", key_id="AKIAUNKNOWNKEY000000", secret="x" * 40)
        error = refused(stranger.invoke_code_interpreter, **session.named, name="listFiles", arguments={})
        assert error["Error"]["Code"] == "UnrecognizedClientException"
        assert session.printed("print(1)") == "1"
        until(lambda: invokes_at_nodes(running, session))
        assert len(invokes_at_nodes(running, session)) == 1, "the stranger's would have come first"


def invokes_at_nodes(running: RunningCluster, session: ServedSession) -> list[str]:
    """What the nodes have logged of the session's Invokes."""
    lines = [line for node in running.cluster.nodes for line in node.log().splitlines()]
    return [line for line in lines if '"operation":"InvokeCodeInterpreter"' in line and session.id in line]


def test_wrong_signature_is_refused_by_the_node(running: RunningCluster) -> None:
    with running.session() as session:
        forger = running.client("bedrock-agentcore", secret="x" * 40)
        error = refused(forger.invoke_code_interpreter, **session.named, name="listFiles", arguments={})
        assert error["Error"]["Code"] == "InvalidSignatureException"
        error = refused(forger.start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN)
        assert error["Error"]["Code"] == "InvalidSignatureException"
