"""Nodes and front ends that are taken out and put in while calls run: none is lost."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ConnectionError as NoConnection
from botocore.exceptions import HTTPClientError

from cluster_processes import ClusterProcess, RunningCluster
from running_server import BUILT_IN, CELLBLOCK, RunningServer, ServedSession, until

CLIENTS = 3


def nodes_command(running: RunningCluster, *words: str) -> None:
    """`cellblock nodes …`"""
    command = [CELLBLOCK, "nodes", *words]
    environment = running.operator_environment(data_dir=running.data_dir)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@contextmanager
def load(clients: list[Any]) -> Iterator[list[int]]:
    """Sessions that start, run code and stop, one after the other, by several clients at once; how many each has had."""
    rounds, is_over = [0] * len(clients), threading.Event()
    with ThreadPoolExecutor(len(clients)) as pool:
        running = [pool.submit(_rounds, client, rounds, number, is_over) for number, client in enumerate(clients)]
        try:
            yield rounds
        finally:
            is_over.set()
            for one in running:
                one.result(timeout=60)


def _rounds(client: Any, rounds: list[int], number: int, is_over: threading.Event) -> None:
    while not is_over.is_set():
        started = client.start_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN)
        named = {"codeInterpreterIdentifier": BUILT_IN, "sessionId": started["sessionId"]}
        for _ in range(3):
            arguments = {"language": "python", "code": "print(6 * 7)"}
            (event,) = client.invoke_code_interpreter(**named, name="executeCode", arguments=arguments)["stream"]
            assert event["result"]["structuredContent"]["stdout"] == "42"
        client.stop_code_interpreter_session(**named)
        rounds[number] += 1


def more(rounds: list[int], count: int) -> None:
    """Wait until each client has had so many rounds more."""
    wanted = [one + count for one in rounds]
    until(lambda: all(now >= then for now, then in zip(rounds, wanted, strict=True)), seconds=60)


def retrying(running: RunningCluster) -> Any:
    """A stock client."""
    return running.client("bedrock-agentcore", retries={"mode": "standard", "total_max_attempts": 5})


def test_drained_node_takes_nothing_new_keeps_its_sessions_and_can_come_back(running: RunningCluster) -> None:
    sessions = [running.start() for _ in range(4)]
    before = {node.name: node.id for node in running.nodes()}
    nodes_command(running, "drain", "n1")
    try:
        kept = next(session for session in sessions if session.id.endswith(before["n1"]))
        for _ in range(4):
            with running.session() as later:
                assert later.id.endswith(before["n2"])
        assert kept.printed("print('still here')") == "still here"
    finally:
        nodes_command(running, "drain", "n1", "--undo")
    for session in sessions:
        session.end()

    def comes_back() -> bool:
        with running.session() as later:
            return later.id.endswith(before["n1"])

    until(comes_back)


def test_nodes_come_and_go_under_load_and_no_call_is_lost(running: RunningCluster) -> None:
    with load([retrying(running) for _ in range(CLIENTS)]) as rounds:
        more(rounds, 2)
        (extra,) = running.cluster.start_nodes("n4")
        more(rounds, 2)
        nodes_command(running, "drain", "n4", "--wait")
        extra.stop()
        running.cluster.nodes.remove(extra)
        more(rounds, 2)
    assert "went" in running.cluster.front_ends[0].log()
    assert "n4 200" in "".join(one.log() for one in running.cluster.front_ends), "the node had sessions"


def test_front_end_that_stops_answers_what_it_has_begun(running: RunningCluster) -> None:
    (extra,) = running.cluster.start_front_ends("leaving")
    client = RunningServer(extra.process, extra.url, extra.data_dir, running.key_id, running.secret).client("bedrock-agentcore")
    with running.session() as session, ThreadPoolExecutor() as pool:
        through = ServedSession(running, client, session.interpreter, session.id)
        call = pool.submit(through.printed, "open('begun', 'w').close(); import time; time.sleep(2); print('answered')")
        until(lambda: "begun" in str(session.command("ls")["content"]))
        extra.stop()
        assert call.result(timeout=20) == "answered"
        assert session.printed("print('goes on')") == "goes on"
        with pytest.raises((NoConnection, HTTPClientError)):
            through.run("1")
    running.cluster.front_ends.remove(extra)


def test_full_cluster_refuses_and_names_it(running: RunningCluster, small: ClusterProcess) -> None:
    """Only the small node takes sessions, and it takes one."""
    del small
    no_room = pytest.raises(running.data.exceptions.ThrottlingException, match="this cluster has no room for another session")
    with running.session(), no_room:
        running.start()
    until(lambda: has_room(running))  # a front end hears of it by the node's next beat


def has_room(running: RunningCluster) -> bool:
    try:
        with running.session() as session:
            return session.printed("print('room again')") == "room again"
    except running.data.exceptions.ThrottlingException:
        return False


@pytest.fixture
def small(running: RunningCluster) -> Iterator[ClusterProcess]:
    """A node for one session, while all others are drained."""
    (node,) = running.cluster.start_nodes("small", node_sessions=1)
    for name in ("n1", "n2"):
        nodes_command(running, "drain", name)
    yield node
    for name in ("n1", "n2"):
        nodes_command(running, "drain", name, "--undo")
    running.cluster.nodes.remove(node)
    node.stop()
