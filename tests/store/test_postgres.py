"""What PostgreSQL has beside the contract: it goes away and comes back, others write to it, and one server uses it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cellblock.errors import StoreUnavailable, ValidationFailed
from cellblock.machine.data_directory import DataDirectoryError
from cellblock.model.resources import NodeFigures, TokenWant, new_access_key
from cellblock.store.postgres import PostgresStore
from postgres_server import PostgresServer, postgres
from store.things import ACCOUNT, interpreter, node, session


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """One that these tests may stop."""
    with postgres() as server:
        yield server


@pytest.fixture
async def store(own_server: PostgresServer, data_dir: Path) -> AsyncIterator[PostgresStore]:
    opened = await PostgresStore.open(own_server.emptied(), data_dir, role="server")
    yield opened
    await opened.close()


async def turns(store: PostgresStore, before: int | None) -> None:
    """Wait until the watch says another version."""
    async with asyncio.timeout(20):
        while store.keys_version() == before:
            await asyncio.to_thread(bool)


async def test_restart_between_two_calls_is_not_noticed(own_server: PostgresServer, store: PostgresStore) -> None:
    made = await store.create_session(session(), max_live=9)
    for call in (lambda: store.get_session(made.key), lambda: store.create_session(session(), max_live=9)):
        await asyncio.to_thread(own_server.stop)
        await asyncio.to_thread(own_server.start)
        await call()
    assert await store.count_live_sessions(ACCOUNT) == 2


async def test_node_beats_on_after_a_restart_and_has_its_sessions(own_server: PostgresServer, data_dir: Path) -> None:
    member = await PostgresStore.open(own_server.emptied(), data_dir, role="member")
    await member.join_node(node())
    made = await member.create_session(session(node="OAK1"), max_live=9)
    want = TokenWant(account=ACCOUNT, operation="InvokeCodeInterpreter", rate=0.001, burst=2.0)
    await member.take_tokens(want)
    await asyncio.to_thread(own_server.stop)
    for call in (member.beat_node("OAK1", NodeFigures()), member.list_nodes(), member.take_tokens(want)):
        with pytest.raises(StoreUnavailable):
            await call
    await asyncio.to_thread(own_server.start)
    assert await member.beat_node("OAK1", NodeFigures()) == "READY"
    assert [(one.id, one.beat) for one in await member.list_nodes()] == [("OAK1", 1)]
    assert [(await member.take_tokens(want)).count for _ in range(2)] == [1, 0]
    assert (await member.get_session(made.key)).state == "READY"
    await member.close()


async def test_absent_database_is_an_error_that_may_be_tried_again(own_server: PostgresServer, store: PostgresStore) -> None:
    made = await store.create_session(session(), max_live=9)
    before = store.keys_version()
    await asyncio.to_thread(own_server.stop)
    for call in (store.get_session(made.key), store.stop_session(made.key, "stopped"), store.create_session(session(), max_live=9)):
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await call
    await asyncio.to_thread(own_server.start)
    assert (await store.get_session(made.key)).state == "READY"
    await turns(store, before)  # all keys are looked at again: what happened meanwhile was not heard


async def test_change_of_a_key_by_another_process_is_heard(own_server: PostgresServer, store: PostgresStore, data_dir: Path) -> None:
    key = await store.keep_first_access_key(new_access_key(account=ACCOUNT, name="first"))
    before = store.keys_version()
    other = await PostgresStore.open(own_server.url(), data_dir)
    await other.revoke_access_key(key.id)
    await other.close()
    await turns(store, before)


async def test_second_server_is_refused_and_commands_are_not(own_server: PostgresServer, store: PostgresStore, data_dir: Path) -> None:
    with pytest.raises(DataDirectoryError, match="another server uses this database"):
        await PostgresStore.open(own_server.url(), data_dir, role="server")
    command = await PostgresStore.open(own_server.url(), data_dir)
    await command.close()


async def test_refusal_of_the_database_shows_no_password(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match=r"postgresql://ann:\*\*\*@") as caught:
        await PostgresStore.open(f"postgresql://ann:geheim@/none?host={tmp_path}", data_dir)
    assert "geheim" not in str(caught.value)


async def test_text_that_the_database_cannot_keep_is_the_callers_mistake(store: PostgresStore) -> None:
    with pytest.raises(ValidationFailed, match=r"U\+0000"):
        await store.create_interpreter(dataclasses.replace(interpreter(), description="a\0b"))
