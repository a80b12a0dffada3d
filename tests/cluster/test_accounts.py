"""What an account has and may do holds over a whole cluster: quotas, rates, keys, usage, and what is in use on another node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from cellblock.cli import commands
from cellblock.model.resources import new_access_key
from cellblock.model.usage import UsageQuery
from cellblock.store.postgres import PostgresStore
from cluster_processes import RunningCluster, serving_cluster
from postgres_server import PostgresServer
from running_server import BUILT_IN, RunningServer, ServedSession, refused, until

ACCOUNT = "000000000000"
QUOTA = "ServiceQuotaExceededException"
RATE = 0.5
BURST_SECONDS = 10
ResultT = TypeVar("ResultT")


@pytest.fixture(scope="module")
def running(database: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """Two nodes and two front ends, where interpreters are made and deleted five at one moment and then one in two seconds."""
    place = tmp_path_factory.mktemp("accounts") / "data"
    with serving_cluster(place, database.url(), interpreter_rate=RATE, rate_burst_seconds=BURST_SECONDS) as made:
        yield made


def at(running: RunningCluster, which: int, service: str = "bedrock-agentcore", **config: Any) -> Any:
    """A client of one front end alone."""
    one = running.cluster.front_ends[which]
    return RunningServer(one.process, one.url, one.data_dir, running.key_id, running.secret).client(service, **config)


def on_store(running: RunningCluster, work: Callable[[PostgresStore], Awaitable[ResultT]]) -> ResultT:
    """What a command beside the cluster does."""
    cluster = running.cluster

    async def opened() -> ResultT:
        store = await PostgresStore.open(cluster.store, cluster.base / "command", secrets_key=cluster.key_file)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(opened())


def test_eleventh_session_is_refused_at_whichever_front_end(running: RunningCluster) -> None:
    clients = [at(running, 0), at(running, 1)]

    def start(number: int) -> str:
        """The session, or the error's code."""
        try:
            return str(clients[number % 2].start_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN)["sessionId"])
        except ClientError as error:
            return str(error.response["Error"]["Code"])

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(start, range(16)))
    made = [answer for answer in answers if answer != QUOTA]
    sessions = [ServedSession(running, running.data, BUILT_IN, id) for id in made]
    assert len(sessions) == 10
    assert {session.id[26:] for session in sessions} == {node.id for node in running.nodes()}
    sessions.pop().stop()
    with running.session():
        assert [start(0), start(1)] == [QUOTA, QUOTA]
    for session in sessions:
        session.end()


def test_rate_of_an_account_is_one_for_all_front_ends(running: RunningCluster) -> None:
    clients = [at(running, which, "bedrock-agentcore-control") for which in (0, 1)]
    began = time.monotonic()

    def is_admitted(number: int) -> bool:
        error = refused(clients[number % 2].delete_code_interpreter, codeInterpreterId=f"missing-{number:010}")["Error"]
        assert error["Code"] in ("ResourceNotFoundException", "ThrottlingException")
        return bool(error["Code"] == "ResourceNotFoundException")

    with ThreadPoolExecutor(8) as pool:
        admitted = sum(pool.map(is_admitted, range(40)))
    assert RATE * BURST_SECONDS - 1 <= admitted <= RATE * (BURST_SECONDS + time.monotonic() - began)


def test_revoked_key_is_refused_at_every_front_end_and_node_at_once(running: RunningCluster) -> None:
    key = on_store(running, lambda store: store.create_access_key(new_access_key(account=ACCOUNT, name="theirs")))
    theirs = [at(running, which) for which in (0, 1)]
    signed = [
        RunningServer(one.process, one.url, one.data_dir, key.id, key.secret).client("bedrock-agentcore")
        for one in running.cluster.front_ends
    ]
    with running.session() as session:
        for client in (*theirs, *signed):
            assert session.invoke("listFiles", client=client)["isError"] is False
        on_store(running, lambda store: store.revoke_access_key(key.id))
        for client in signed:
            until(lambda: is_refused(client, session), seconds=2)  # noqa: B023 - it is called in this turn
        assert session.printed("print(1)") == "1"


def is_refused(client: Any, session: ServedSession) -> bool:
    try:
        client.invoke_code_interpreter(**session.named, name="listFiles", arguments={})
    except ClientError as error:
        return bool(error.response["Error"]["Code"] == "UnrecognizedClientException")
    return False


def test_usage_sums_up_all_nodes(running: RunningCluster) -> None:
    key = on_store(running, lambda store: store.create_access_key(new_access_key(account=ACCOUNT, name="metered")))
    one = running.cluster.front_ends[0]
    client = RunningServer(one.process, one.url, one.data_dir, key.id, key.secret).client("bedrock-agentcore")
    sessions: list[ServedSession] = []
    while len({session.id[26:] for session in sessions}) < 2:
        started = client.start_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN)
        sessions.append(ServedSession(running, client, BUILT_IN, started["sessionId"]))
    for session in sessions:
        assert session.printed("print(1)") == "1"
        session.stop()

    def used() -> tuple[int, int]:
        found = on_store(running, lambda store: store.sum_usage(UsageQuery(by="key")))
        return next(((row.sessions, row.calls) for row in found if row.group == key.id), (0, 0))

    until(lambda: used() == (len(sessions), len(sessions)))


def test_interpreter_in_use_on_a_node_is_not_deleted_by_any_front_end(running: RunningCluster) -> None:
    made = running.create("shared")["codeInterpreterId"]
    controls = [at(running, which, "bedrock-agentcore-control", retries={"total_max_attempts": 4}) for which in (0, 1)]
    with running.session(interpreter=made):
        for control in controls:
            error = refused(control.delete_code_interpreter, codeInterpreterId=made)["Error"]
            assert (error["Code"], "1 live session" in error["Message"]) == ("ConflictException", True)
    assert controls[1].delete_code_interpreter(codeInterpreterId=made)["status"] in ("DELETING", "DELETED")
    assert refused(controls[0].get_code_interpreter, codeInterpreterId=made)["Error"]["Code"] == "ResourceNotFoundException"


def test_second_machine_of_one_name_does_not_start_and_takes_nothing(running: RunningCluster) -> None:
    with running.session() as session:
        before = running.nodes()
        with pytest.raises(AssertionError, match="another machine is node n1"):
            running.cluster.start_nodes("n1-again", node_name="n1")
        assert [(node.id, node.state) for node in running.nodes()] == [(node.id, node.state) for node in before]
        assert session.printed("print(1)") == "1"


def test_drained_node_keeps_its_sessions_and_gets_none(running: RunningCluster) -> None:
    def typed(*words: str) -> str:
        cluster = running.cluster
        done = CliRunner().invoke(commands, ["nodes", *words, "--data-dir", str(cluster.base / "command"), "--store", cluster.store])
        assert done.exit_code == 0, done.exception
        return done.stdout

    with running.session() as session:
        drained = next(node for node in running.nodes() if node.id == session.id[26:])
        assert "takes no new sessions" in typed("drain", drained.name)
        others = [running.start() for _ in range(4)]
        assert drained.id not in {other.id[26:] for other in others}
        assert session.printed("print(1)") == "1"
        for other in others:
            other.stop()
    typed("drain", drained.name, "--wait")
    assert "DRAINING" in typed("list")
    assert "takes new sessions again" in typed("drain", drained.name, "--undo")

    def is_used_again() -> bool:
        with running.session() as session:
            return session.id[26:] == drained.id

    until(is_used_again)
