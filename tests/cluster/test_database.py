"""The database of a running cluster goes away and comes back: live sessions go on, the rest may be tried again, and no node is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from cluster_processes import RunningCluster, serving_cluster
from postgres_server import PostgresServer, postgres
from processes import descendants
from running_server import BUILT_IN, RunningServer, ServedSession, refused, until

LOST_SECONDS = 2


@pytest.fixture(scope="module")
def own_database() -> Iterator[PostgresServer]:
    """One that these tests may stop."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="module")
def running(own_database: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    place = tmp_path_factory.mktemp("database") / "data"
    with serving_cluster(place, own_database.url(), node_lost_seconds=LOST_SECONDS) as made:
        yield made


def at(running: RunningCluster, which: int, **config: Any) -> Any:
    """A client of one front end alone."""
    one = running.cluster.front_ends[which]
    return RunningServer(one.process, one.url, one.data_dir, running.key_id, running.secret).client("bedrock-agentcore", **config)


def started(running: RunningCluster) -> list[ServedSession]:
    """Sessions on every node."""
    sessions: list[ServedSession] = []
    while len({session.id[26:] for session in sessions}) < 2:
        sessions.append(running.start())
    return sessions


def test_live_sessions_go_on_without_the_database_longer_than_a_node_may_be_silent(
    running: RunningCluster, own_database: PostgresServer
) -> None:
    sessions, before = started(running), running.nodes()
    clients = [at(running, which) for which in (0, 1)]
    for session in sessions:
        session.printed("kept = 41")
    own_database.stop()
    for client in clients:
        error = refused(client.start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN)
        assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("InternalServerException", 500)
        assert "try again" in error["Error"]["Message"]
    for session in sessions:
        code = f"import time; time.sleep({LOST_SECONDS / len(sessions) + 0.5}); print(kept + 1)"
        assert {session.printed(code, client=client) for client in clients} == {"42"}
    own_database.start()
    patient = at(running, 1, retries={"mode": "standard", "total_max_attempts": 10})
    made = patient.start_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN)
    sessions.append(ServedSession(running, running.data, BUILT_IN, made["sessionId"]))
    for node in before:
        until(lambda: next(one.beat for one in running.nodes() if one.id == node.id) > node.beat)  # noqa: B023
    assert [(node.id, node.state) for node in running.nodes()] == [(node.id, node.state) for node in before]
    for session in sessions:
        assert session.get()["status"] == "READY"
        assert session.printed("print(1)") == "1"
        session.stop()


def test_restart_under_load_fails_no_call_of_a_live_session(running: RunningCluster, own_database: PostgresServer) -> None:
    sessions = started(running)
    clients = [at(running, which) for which in (0, 1)]
    is_over = []

    def call_again_and_again(number: int) -> int:
        session, calls = sessions[number % len(sessions)], 0
        while not is_over:
            assert session.printed(f"print({calls})", client=clients[number % 2]) == f"{calls}"
            calls += 1
        return calls

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(call_again_and_again, number) for number in range(4)]
        try:
            own_database.stop()
            own_database.start()
            until(lambda: len(running.nodes()) == 2)
        finally:
            is_over.append(True)
        assert all(call.result() > 0 for call in calls)
    for session in sessions:
        session.stop()


@pytest.mark.slow
def test_database_that_hangs_delays_no_call_for_long_and_is_an_error_elsewhere(
    running: RunningCluster, own_database: PostgresServer
) -> None:
    """All its processes stand still, as those of a machine that swaps or a network that swallows packets."""
    sessions, before = started(running), running.nodes()
    client = at(running, 0)
    for session in sessions:
        session.printed("kept = 41")
    processes = [own_database.pid, *descendants(own_database.pid)]
    with ThreadPoolExecutor(1) as pool:
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            starting = pool.submit(refused, client.start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN)
            while not starting.done():
                for session in sessions:
                    began = time.monotonic()
                    assert session.printed("print(kept + 1)") == "42"
                    assert time.monotonic() - began < 4
            assert starting.result()["Error"]["Code"] == "InternalServerException"
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)
    for node in before:
        until(lambda: next(one.beat for one in running.nodes() if one.id == node.id) > node.beat)  # noqa: B023
    for session in sessions:
        assert session.get()["status"] == "READY"
        session.stop()
