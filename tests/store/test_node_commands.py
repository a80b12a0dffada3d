"""`cellblock nodes`, as operators type it, and what `cellblock doctor` says of the database."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cellblock.cli import commands
from cellblock.model.resources import NodeFigures
from cellblock.settings.table import Settings
from cellblock.store.postgres import PostgresStore
from cellblock.terminal import doctor
from postgres_server import PostgresServer
from running_server import CELLBLOCK, environment
from store.things import node, session

FIGURES = NodeFigures(
    sessions=1, sessions_capacity=20, pool_ready=1, pool_size=2, memory_free_bytes=3 * 2**30, memory_total_bytes=4 * 2**30, cpus=2
)


@pytest.fixture
def url(postgres_server: PostgresServer) -> str:
    return postgres_server.emptied()


@pytest.fixture
async def cluster(url: str, data_dir: Path) -> AsyncIterator[PostgresStore]:
    """Of the nodes oak, which has been there before, and ash."""
    store = await PostgresStore.open(url, data_dir, role="member")
    for one in (node("oak"), node("oak", life=2), node("ash")):
        await store.join_node(one)
    await store.beat_node("OAK2", FIGURES)
    yield store
    await store.close()


def typed(url: str, data_dir: Path, *words: str) -> Result:
    """In this process: a start of Python each would take longer than the tests."""
    return CliRunner().invoke(commands, [*words, "--data-dir", str(data_dir), "--store", url])


def test_nodes_are_listed_as_they_were_last_heard(url: str, data_dir: Path, cluster: PostgresStore) -> None:
    head, ash, oak = typed(url, data_dir, "nodes").stdout.splitlines()
    assert head.split()[:3] == ["node", "state", "sessions"]
    assert ash.startswith("ash   READY  0/0")
    assert all(word in oak for word in ("oak", "READY", "1/20", "3.0/4.0 GB", "1/2", "http://oak:8081"))
    known = json.loads(typed(url, data_dir, "nodes", "--json").stdout)
    assert [(one["node"], one["id"], one["sessionsCapacity"], one["beat"]) for one in known] == [
        ("ash", "ASH1", 0, 0),
        ("oak", "OAK2", 20, 1),
    ]


def test_ended_nodes_are_listed_with_the_reason_when_asked_for(url: str, data_dir: Path, cluster: PostgresStore) -> None:
    lines = typed(url, data_dir, "nodes", "list", "--all").stdout.splitlines()
    assert len(lines) == 4
    assert any("ENDED" in line and line.endswith("its node oak was started again") for line in lines)


async def test_drained_node_is_waited_for_until_its_last_session_ends(url: str, data_dir: Path, cluster: PostgresStore) -> None:
    made = await cluster.create_session(session(node="OAK2"), max_live=9)
    drained = await asyncio.to_thread(typed, url, data_dir, "nodes", "drain", "oak")
    assert drained.stdout == "node oak takes no new sessions; 1 live there\n"
    words = ("nodes", "drain", "oak", "--wait", "--json", "--data-dir", str(data_dir), "--store", url)
    waiting = await asyncio.create_subprocess_exec(CELLBLOCK, *words, stdout=subprocess.PIPE, env=environment())
    assert waiting.returncode is None
    await cluster.end_session(made.id, "stopped")
    async with asyncio.timeout(60):
        said, _ = await waiting.communicate()
    assert (json.loads(said)["state"], json.loads(said)["sessions"]) == ("DRAINING", 0)
    undone = await asyncio.to_thread(typed, url, data_dir, "nodes", "drain", "oak", "--undo")
    assert undone.stdout == "node oak takes new sessions again\n"
    assert {one.state for one in await cluster.list_nodes()} == {"READY"}


def test_unknown_node_and_a_server_without_a_cluster_are_said_in_one_line(url: str, data_dir: Path) -> None:
    refused = typed(url, data_dir, "nodes", "drain", "elm")
    assert str(refused.exception) == "there is no node elm that is up; `cellblock nodes list` names those that are"
    alone = typed("", data_dir, "nodes")
    assert "name it with --store or CELLBLOCK_STORE" in str(alone.exception)


async def test_key_that_is_not_the_clusters_is_told(url: str, tmp_path: Path, cluster: PostgresStore) -> None:
    other = await PostgresStore.open(url, tmp_path / "another")
    assert "is missing: it is the file that opens the secrets" in await other.secrets_problem()
    await other.close()
    assert await cluster.secrets_problem() == ""


def test_doctor_says_whether_the_database_answers_and_its_secrets_open(
    url: str, data_dir: Path, tmp_path: Path, cluster: PostgresStore
) -> None:
    def found(place: Path, store: str) -> doctor.Finding:
        return doctor.database(Settings(data_dir=place, cache_dir=tmp_path, store=store))

    assert found(data_dir, url).ok
    other = found(tmp_path / "another", url)
    assert (other.ok, "is missing: it is the file that opens the secrets" in other.found) == (False, True)
    away = found(data_dir, f"postgresql://ann:geheim@/none?host={tmp_path}")
    assert (away.is_fatal, "cannot be used" in away.found, "geheim" in away.found) == (True, True, False)
