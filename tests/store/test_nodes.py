"""Contract of every store: the nodes of a cluster, their ends, and the rates that servers share."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta

import pytest

from cellblock.errors import NodeClosed, NodeNotFound, SessionNotFound
from cellblock.model.resources import NodeFigures, TokenWant
from cellblock.store.protocol import ClusterStore
from store.things import ACCOUNT, START, SteppingClock, claim, node, session

FIGURES = NodeFigures(
    sessions=3, sessions_capacity=20, pool_ready=1, pool_size=2, memory_free_bytes=2**33, memory_total_bytes=2**34, cpus=2.5
)
START_SESSION = "StartCodeInterpreterSession"


async def test_node_is_listed_with_the_figures_of_its_last_beat(store: ClusterStore, clock: SteppingClock) -> None:
    assert await store.join_node(node("oak")) == 0
    await store.join_node(node("ash"))
    clock.forward(timedelta(seconds=1))
    assert await store.beat_node("OAK1", FIGURES) == "READY"
    assert await store.list_nodes() == (
        node("ash"),
        dataclasses.replace(node("oak"), beat=1, figures=FIGURES, seen_at=START + timedelta(seconds=1)),
    )


async def test_end_of_a_node_ends_its_sessions_and_no_others(store: ClusterStore) -> None:
    for name in ("oak", "ash"):
        await store.join_node(node(name))
    lost, kept, alone = [await store.create_session(session(node=one), max_live=9) for one in ("OAK1", "ASH1", None)]
    assert await store.count_node_sessions("OAK1") == 1
    assert await store.end_node("OAK1", "its node oak was lost") == 1
    ended = await store.get_session(lost.key)
    assert (ended.state, ended.end_reason, ended.node) == ("TERMINATED", "its node oak was lost", "OAK1")
    assert [(await store.get_session(one.key)).state for one in (kept, alone)] == ["READY", "READY"]
    assert await store.count_node_sessions("OAK1") == 0
    assert [one.name for one in await store.list_nodes()] == ["ash"]


async def test_node_ends_once_and_learns_it_by_its_beat(store: ClusterStore, clock: SteppingClock) -> None:
    await store.join_node(node())
    ends = await asyncio.gather(*(store.end_node("OAK1", f"lost {number}") for number in range(5)))
    assert sorted(ends, key=str) == [0, None, None, None, None]
    assert await store.beat_node("OAK1", FIGURES) == "ENDED"
    assert await store.beat_node("NOBODY", FIGURES) is None
    (ended,) = await store.list_nodes(with_ended=True)
    assert (ended.state, ended.beat, ended.ended_at) == ("ENDED", 0, clock.time)


async def test_token_of_a_session_that_its_node_took_along_starts_another(store: ClusterStore) -> None:
    await store.join_node(node())
    first = await store.create_session(session(node="OAK1"), max_live=9, claim=claim(START_SESSION))
    await store.end_node("OAK1", "its node oak was lost")
    again = await store.create_session(session(), max_live=9, claim=claim(START_SESSION))
    assert again.id != first.id
    assert again.state == "READY"


async def test_node_that_starts_again_ends_what_it_had_before(store: ClusterStore) -> None:
    await store.join_node(node())
    lost = await store.create_session(session(node="OAK1"), max_live=9)
    assert await store.join_node(node(life=2)) == 1
    assert (await store.get_session(lost.key)).end_reason == "its node oak was started again"
    assert [(one.id, one.state) for one in await store.list_nodes(with_ended=True)] == [("OAK1", "ENDED"), ("OAK2", "READY")]


async def test_draining_node_gets_no_new_session_until_that_is_undone(store: ClusterStore) -> None:
    await store.join_node(node())
    kept = await store.create_session(session(node="OAK1"), max_live=9)
    assert (await store.drain_node("oak")).state == "DRAINING"
    assert await store.beat_node("OAK1", FIGURES) == "DRAINING"
    refused = session(node="OAK1")
    with pytest.raises(NodeClosed):
        await store.create_session(refused, max_live=9, claim=claim(START_SESSION))
    with pytest.raises(SessionNotFound):
        await store.get_session(refused.key)
    assert (await store.get_session(kept.key)).state == "READY"
    assert (await store.drain_node("OAK1", undo=True)).state == "READY"
    await store.create_session(refused, max_live=9, claim=claim(START_SESSION))


async def test_session_of_a_node_that_has_ended_is_not_kept(store: ClusterStore) -> None:
    await store.join_node(node())
    await store.end_node("OAK1", "its node oak was lost")
    for one in ("OAK1", "NOBODY"):
        with pytest.raises(NodeClosed):
            await store.create_session(session(node=one), max_live=9)
    assert await store.count_live_sessions(ACCOUNT) == 0


async def test_only_a_node_that_is_up_can_be_drained(store: ClusterStore) -> None:
    await store.join_node(node())
    await store.leave_node("OAK1", "it was told to stop")
    for name in ("oak", "elm"):
        with pytest.raises(NodeNotFound, match=f"no node {name} that is up"):
            await store.drain_node(name)


async def test_node_of_a_session_is_found_by_its_id(store: ClusterStore) -> None:
    await store.join_node(node())
    made = await store.create_session(session(node="OAK1"), max_live=9)
    assert await store.session_node(made.id) == "OAK1"
    assert await store.session_node("nothing") is None
    assert (await store.get_session(made.key)).node == "OAK1"


async def test_nodes_are_forgotten_with_the_sessions_of_their_time(store: ClusterStore, clock: SteppingClock) -> None:
    for name in ("oak", "ash"):
        await store.join_node(node(name))
    await store.end_node("OAK1", "its node oak was lost")
    clock.forward(timedelta(days=1))
    await store.purge(sessions_ended_before=clock.time)
    assert [one.id for one in await store.list_nodes(with_ended=True)] == ["ASH1"]


async def test_single_server_ends_what_a_cluster_has_left(store: ClusterStore) -> None:
    await store.join_node(node())
    left = await store.create_session(session(node="OAK1"), max_live=9)
    assert await store.end_sessions_of_dead_server("the server restarted") == 1
    assert (await store.get_session(left.key)).state == "TERMINATED"
    assert await store.list_nodes() == ()


async def test_tokens_are_shared_and_come_back_with_time(store: ClusterStore, clock: SteppingClock) -> None:
    want = TokenWant(account=ACCOUNT, operation=START_SESSION, rate=0.001, burst=10.0, count=4)
    granted = [await store.take_tokens(want) for _ in range(4)]
    assert [one.count for one in granted] == [4, 4, 2, 0]
    assert 900 < granted[3].wait_seconds <= 1000
    assert (await store.take_tokens(dataclasses.replace(want, debt=3.0))).count == 3
    assert (await store.take_tokens(dataclasses.replace(want, account="other"))).count == 4
    clock.forward(timedelta(seconds=1))
    assert (await store.take_tokens(dataclasses.replace(want, rate=1e9, count=100))).count == 10


async def test_takers_at_one_moment_get_no_more_than_there_is(store: ClusterStore) -> None:
    want = TokenWant(account=ACCOUNT, operation=START_SESSION, rate=0.001, burst=10.0)
    granted = await asyncio.gather(*(store.take_tokens(want) for _ in range(30)))
    assert sum(one.count for one in granted) == 10
