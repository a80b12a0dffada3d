"""Connections that break in the middle of a call: stock boto3 with its default retries sends it again, and the code runs once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from cellblock.service import operations
from conformance.cutting_proxy import CuttingProxy, cutting
from running_server import REGION, RunningServer, ServedSession, serving, until

COUNT = "with open('count', 'a') as file:\n    file.write('x')\nprint('ran')"
COUNTED = "print(open('count').read())"
IN_THE_BODY = 1000  # the head is shorter, and the answer longer than 100 000
CALL_SECONDS = 2
STAY = "import signal\nprint('before', flush=True)\nwhile True:\n    signal.pause()"


def stock_client(server: RunningServer, url: str, **config: Any) -> Any:
    """boto3 as it comes, with its own retries."""
    return boto3.client(
        "bedrock-agentcore",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=server.key_id,
        aws_secret_access_key=server.secret,
        config=Config(**config),
    )


def invocations(proxy: CuttingProxy) -> list[str]:
    """The invocation id of each request that came through."""
    return [found[1].decode() for request in proxy.requests if (found := re.search(rb"(?i)amz-sdk-invocation-id: (\S+)", request))]


@pytest.fixture(scope="module")
def hasty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose limit on a call stands to an impatient client's as the real one's to a stock client's."""
    with serving(tmp_path_factory.mktemp("hasty") / "data", call_timeout_seconds=CALL_SECONDS, drain_seconds=0) as running:
        yield running


@pytest.mark.parametrize(("mode", "cuts"), [(None, 1), (None, 2), ("legacy", 4), ("standard", 2), ("adaptive", 1)])
def test_connection_cut_before_the_answer_is_tried_again_and_the_code_ran_once(session: ServedSession, mode: str | None, cuts: int) -> None:
    config = {"retries": {"mode": mode}} if mode else {}
    with cutting(session.server.url, cuts=cuts) as proxy:
        assert session.run(COUNT, client=stock_client(session.server, proxy.url, **config))["structuredContent"]["stdout"] == "ran"
    assert len(invocations(proxy)) == cuts + 1
    assert len(set(invocations(proxy))) == 1
    assert session.printed(COUNTED) == "x"


def test_connection_cut_while_the_code_runs_is_tried_again_and_joins_the_run(session: ServedSession) -> None:
    waiting = f"{COUNT}\nimport os\nwhile not os.path.exists('go'): pass"
    with cutting(session.server.url) as proxy, ThreadPoolExecutor() as pool:
        client = stock_client(session.server, proxy.url)
        call = pool.submit(session.run, waiting, client=client)
        until(lambda: session.invoke("listFiles")["content"])
        proxy.cut()
        until(lambda: len(invocations(proxy)) == 2)
        session.write(go="")
        assert call.result(timeout=30)["structuredContent"]["stdout"] == "ran"
    assert len(set(invocations(proxy))) == 1
    assert session.printed(COUNTED) == "x"


def test_cut_write_and_task_are_done_once(session: ServedSession) -> None:
    with cutting(session.server.url, cuts=1) as proxy:
        session.invoke("startCommandExecution", client=stock_client(session.server, proxy.url), command="echo x >> tasks")
    until(lambda: session.command("cat tasks")["structuredContent"]["stdout"])
    assert len(invocations(proxy)) == 2
    assert session.command("cat tasks")["structuredContent"]["stdout"] == "x"


def test_cut_start_of_a_session_is_one_session(server: RunningServer) -> None:
    made = server.create("cutstart")["codeInterpreterId"]
    with cutting(server.url, cuts=1) as proxy:
        started = stock_client(server, proxy.url).start_code_interpreter_session(codeInterpreterIdentifier=made)
    listed = server.data.list_code_interpreter_sessions(codeInterpreterIdentifier=made)["items"]
    assert [item["sessionId"] for item in listed] == [started["sessionId"]]
    assert len(proxy.requests) == 2


def test_answer_cut_in_its_body_is_no_result_rather_than_a_short_one(session: ServedSession) -> None:
    with cutting(session.server.url, cuts=1, kept_bytes=IN_THE_BODY) as proxy:
        client = stock_client(session.server, proxy.url)
        answer = session.answer("executeCode", client=client, language="python", code=f"{COUNT}\nprint('y' * 100_000)")
        assert list(answer["stream"]) == []
    assert session.printed(COUNTED) == "x"


def test_client_that_waits_a_little_longer_than_the_limit_reads_the_time_out(hasty_server: RunningServer) -> None:
    patient = CALL_SECONDS * operations.CLIENT_PATIENCE_SECONDS / operations.LAST_RUN_SECONDS + 3  # seconds for a busy machine
    with hasty_server.session() as session:
        client = hasty_server.client("bedrock-agentcore", read_timeout=patient)
        result = session.run(STAY, client=client)
    assert (result["structuredContent"]["exitCode"], result["structuredContent"]["stdout"]) == (124, "before")


def test_client_that_waits_less_than_the_limit_gives_up(hasty_server: RunningServer) -> None:
    with hasty_server.session() as session, pytest.raises(ReadTimeoutError):
        session.run(STAY, client=hasty_server.client("bedrock-agentcore", read_timeout=CALL_SECONDS / 4))


def test_service_answers_before_the_clients_patience_ends_with_time_for_an_interruption() -> None:
    agents_grace_seconds = 2
    assert operations.LAST_RUN_SECONDS + agents_grace_seconds < operations.LAST_ANSWER_SECONDS < operations.CLIENT_PATIENCE_SECONDS - 5
