"""200 sessions asked for at once: as many as the quota allows, an honest error for the others, and nobody else stalls."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from botocore.exceptions import ClientError

from endurance.process_tree import agents_of
from endurance.server_memory import MIB, watched
from running_server import BUILT_IN, RunningServer, ServedSession, serving, until

AT_ONCE = 200
QUOTA = 10
SERVER_BYTES = 300 * MIB
POOL = 2


def start_all(server: RunningServer) -> tuple[list[ServedSession], Counter[str]]:
    """The sessions that started, and the codes of the errors."""
    client = server.client("bedrock-agentcore", max_pool_connections=AT_ONCE)

    def start(_: int) -> ServedSession | str:
        try:
            started = client.start_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ServedSession(server, client, BUILT_IN, started["sessionId"])

    with ThreadPoolExecutor(AT_ONCE) as threads:
        found = list(threads.map(start, range(AT_ONCE)))
    return [one for one in found if isinstance(one, ServedSession)], Counter(one for one in found if isinstance(one, str))


def stop_all(sessions: list[ServedSession]) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ServedSession.stop, sessions))


def test_200_starts_within_the_quota_all_succeed(tmp_path: Path) -> None:
    with serving(tmp_path / "data", max_sessions=AT_ONCE + 1, pool_size=POOL, max_pool_size=0) as server:
        with watched(server) as burden:
            sessions, errors = start_all(server)
            assert errors == {}
            assert len({session.id for session in sessions}) == AT_ONCE
            assert sessions[-1].printed("print('last')") == "last"
            stop_all(sessions)
        burden.assert_nothing_stalled()
        assert burden.peak_bytes < SERVER_BYTES
        until(lambda: len(agents_of(server.process.pid)) == POOL)


def test_200_starts_over_the_quota_are_refused_and_none_is_left_half_started(tmp_path: Path) -> None:
    with serving(tmp_path / "data", max_sessions=QUOTA + 1, pool_size=POOL, max_pool_size=0) as server:
        with watched(server) as burden:
            sessions, errors = start_all(server)
            assert (len(sessions), errors) == (QUOTA, {"ServiceQuotaExceededException": AT_ONCE - QUOTA})
            listed = server.data.list_code_interpreter_sessions(codeInterpreterIdentifier=BUILT_IN, maxResults=100, status="READY")["items"]
            assert len(listed) == QUOTA + 1
            stop_all(sessions)
        burden.assert_nothing_stalled()
        assert burden.peak_bytes < SERVER_BYTES
        until(lambda: len(agents_of(server.process.pid)) == POOL)
