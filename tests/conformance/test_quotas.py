"""The guide's limits on how much may exist and run at once, with the settings' own values."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import pytest
from botocore.exceptions import ClientError

from running_server import BUILT_IN, Json, RunningServer, refused, serving, until

SESSIONS = 10
CALLS = 10


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with its usual settings."""
    with serving(tmp_path_factory.mktemp("quotas") / "data") as running:
        yield running


def start_refused(server: RunningServer) -> Json:
    return refused(server.data.start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN)


def test_eleventh_session_is_over_the_quota_until_one_has_ended(small_server: RunningServer) -> None:
    sessions = [small_server.start() for _ in range(SESSIONS)]
    error = start_refused(small_server)
    sessions.pop().stop()
    sessions.append(small_server.start())
    for session in sessions:
        session.stop()
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("ServiceQuotaExceededException", 402)
    assert str(SESSIONS) in error["Error"]["Message"]


def test_sessions_of_all_interpreters_count_together(small_server: RunningServer) -> None:
    made = small_server.create("counted")["codeInterpreterId"]
    sessions = [small_server.start(interpreter=made if number % 2 else BUILT_IN) for number in range(SESSIONS)]
    error = start_refused(small_server)
    for session in sessions:
        session.stop()
    assert error["Error"]["Code"] == "ServiceQuotaExceededException"


def test_eleventh_call_in_one_session_is_over_the_quota(small_server: RunningServer) -> None:
    with small_server.session() as session, ThreadPoolExecutor(CALLS + 1) as pool:
        calls = [pool.submit(session.command, f"touch started-{number}; exec sleep 1000") for number in range(CALLS - 1)]
        until(lambda: len(session.invoke("listFiles")["content"]) == len(calls))
        calls += [pool.submit(session.command, "exec sleep 1000") for _ in range(2)]
        refusals = wait(calls, timeout=20, return_when=FIRST_COMPLETED).done
        session.stop()
    (refusal,) = (call.exception() for call in refusals)
    assert isinstance(refusal, ClientError)
    assert refusal.response["Error"]["Code"] == "ServiceQuotaExceededException"
    assert "10" in refusal.response["Error"]["Message"]


def test_another_session_is_not_held_up_by_one_with_all_its_calls_under_way(small_server: RunningServer) -> None:
    with small_server.session() as busy, small_server.session() as other, ThreadPoolExecutor(CALLS) as pool:
        for number in range(CALLS - 1):
            pool.submit(busy.command, f"touch started-{number}; exec sleep 1000")
        until(lambda: len(busy.invoke("listFiles")["content"]) == CALLS - 1)
        assert other.printed("print('free')") == "free"
        busy.stop()
