"""Many servers at one PostgreSQL: who may be there beside whom, what waits for what, and how long for a database that hangs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from cellblock.errors import QuotaExceeded, StoreUnavailable
from cellblock.machine.data_directory import SECRETS_KEY_NAME, DataDirectoryError
from cellblock.model.resources import NodeFigures, new_access_key, now
from cellblock.store import postgres as postgres_store
from cellblock.store.database import PURGE_LOCK
from cellblock.store.postgres import ACCOUNTS_LOCK, WRITERS_LOCK, PostgresStore, Role
from postgres_server import PostgresServer
from store.things import ACCOUNT, OTHER_ACCOUNT, claim, interpreter, node, session

START_SESSION = "StartCodeInterpreterSession"


@pytest.fixture
def url(postgres_server: PostgresServer) -> str:
    return postgres_server.emptied()


@asynccontextmanager
async def opened(url: str, place: Path, role: Role = "member", secrets_key: Path | None = None) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.open(url, place, role=role, secrets_key=secrets_key)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def members(url: str, tmp_path: Path) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    """Two with data directories of their own, and one key."""
    key = tmp_path / "shared.key"
    async with opened(url, tmp_path / "one", secrets_key=key) as one, opened(url, tmp_path / "two", secrets_key=key) as two:
        yield one, two


@contextmanager
def holding(url: str, lock: str) -> Iterator[None]:
    """Another transaction has a lock all the while."""
    with psycopg.connect(url) as connection:
        connection.execute(f"SELECT pg_advisory_xact_lock({lock})")
        yield
        connection.rollback()


async def test_members_share_a_database_and_no_single_server_is_among_them(
    url: str, members: tuple[PostgresStore, PostgresStore], tmp_path: Path
) -> None:
    with pytest.raises(DataDirectoryError, match="another server uses this database"):
        await PostgresStore.open(url, tmp_path / "three", role="server", secrets_key=tmp_path / "shared.key")


async def test_member_does_not_come_beside_a_single_server(url: str, tmp_path: Path) -> None:
    async with opened(url, tmp_path / "one", "server"):
        with pytest.raises(DataDirectoryError, match="a server that is in no cluster uses this database"):
            await PostgresStore.open(url, tmp_path / "one", role="member")


async def test_quota_and_token_hold_over_two_servers(members: tuple[PostgresStore, PostgresStore]) -> None:
    starts = [one.create_session(session(), max_live=10) for one in members for _ in range(15)]
    results = await asyncio.gather(*starts, return_exceptions=True)
    assert sum(isinstance(result, QuotaExceeded) for result in results) == 20
    mine = claim(START_SESSION, account=OTHER_ACCOUNT)
    again = [one.create_session(session(account=OTHER_ACCOUNT), max_live=10, claim=mine) for one in members for _ in range(5)]
    assert len({made.id for made in await asyncio.gather(*again)}) == 1


async def test_start_and_deletion_at_one_moment_leave_no_session_without_its_interpreter(
    members: tuple[PostgresStore, PostgresStore],
) -> None:
    one, two = members
    for number in range(10):
        made = await one.create_interpreter(interpreter(f"tool{number}"))
        results = await asyncio.gather(
            one.create_session(session(made.id), max_live=99), two.delete_interpreter(ACCOUNT, made.id), return_exceptions=True
        )
        assert sum(isinstance(result, Exception) for result in results) == 1


async def test_start_and_end_of_its_node_at_one_moment_leave_no_live_session(members: tuple[PostgresStore, PostgresStore]) -> None:
    one, two = members
    for life in range(10):
        await one.join_node(node(life=life))
        starts = [one.create_session(session(node=f"OAK{life}"), max_live=99) for _ in range(3)]
        await asyncio.gather(*starts, two.end_node(f"OAK{life}", "lost"), return_exceptions=True)
        assert await one.count_node_sessions(f"OAK{life}") == 0


async def test_member_leaves_the_sessions_of_others_alone_when_it_starts(members: tuple[PostgresStore, PostgresStore]) -> None:
    one, two = members
    await one.join_node(node())
    theirs, orphan = [await one.create_session(session(node=life), max_live=9) for life in ("OAK1", None)]
    assert await two.end_sessions_of_dead_server("the server restarted") == 1
    assert [(await two.get_session(made.key)).state for made in (theirs, orphan)] == ["READY", "TERMINATED"]
    assert [one.id for one in await two.list_nodes()] == ["OAK1"]


async def test_accounts_do_not_wait_for_each_other(url: str, members: tuple[PostgresStore, PostgresStore]) -> None:
    with holding(url, f"{ACCOUNTS_LOCK}, hashtext('{ACCOUNT}')"):
        waiting = asyncio.create_task(members[0].create_session(session(), max_live=9))
        async with asyncio.timeout(4):
            await members[1].create_session(session(account=OTHER_ACCOUNT), max_live=9)
        assert not waiting.done()
    await waiting


async def test_beat_does_not_wait_for_a_slow_transaction_of_its_server(url: str, members: tuple[PostgresStore, PostgresStore]) -> None:
    store = members[0]
    await store.join_node(node())
    with holding(url, f"{WRITERS_LOCK}"):
        waiting = asyncio.create_task(store.create_session(session(), max_live=9))
        async with asyncio.timeout(4):
            assert [await store.beat_node("OAK1", NodeFigures(sessions=count)) for count in range(3)] == ["READY"] * 3
            assert (await store.list_nodes())[0].beat == 3
        assert not waiting.done()
    await waiting


async def test_start_of_a_member_waits_for_no_other(url: str, members: tuple[PostgresStore, PostgresStore], tmp_path: Path) -> None:
    """As a thousand that start in one moment would, one after the other."""
    key = await members[0].keep_first_access_key(new_access_key(account=ACCOUNT, name="first"))
    with holding(url, f"{WRITERS_LOCK}"):
        async with asyncio.timeout(4), opened(url, tmp_path / "three", secrets_key=tmp_path / "shared.key") as third:
            assert await third.keep_first_access_key(new_access_key(account=ACCOUNT, name="first")) == key
            assert await third.end_sessions_of_dead_server("the server restarted") == 0
            assert await third.join_node(node()) == 0
            async with opened(url, tmp_path / "four", "command") as command:
                assert [one.id for one in await command.list_nodes()] == ["OAK1"]


async def test_one_server_removes_old_rows_and_nobody_waits_for_it(url: str, members: tuple[PostgresStore, PostgresStore]) -> None:
    one = members[0]
    made = await one.create_session(session(), max_live=9)
    await one.end_session(made.id, "stopped")
    async with asyncio.timeout(4):
        with holding(url, f"{PURGE_LOCK}"):
            assert await one.purge(sessions_ended_before=now() + timedelta(days=1)) == 0
        with holding(url, f"{WRITERS_LOCK}"):
            assert await one.purge(sessions_ended_before=now() + timedelta(days=1)) == 1


async def test_machines_that_join_under_one_name_at_one_moment_are_one_node(members: tuple[PostgresStore, PostgresStore]) -> None:
    await asyncio.gather(*(members[life % 2].join_node(node(life=life)) for life in range(8)))
    assert len(await members[0].list_nodes()) == 1
    assert len(await members[0].list_nodes(with_ended=True)) == 8


async def test_machine_with_another_key_or_none_is_refused(url: str, members: tuple[PostgresStore, PostgresStore], tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match=rf"three/{SECRETS_KEY_NAME} is missing: it is the file that opens the secrets"):
        await PostgresStore.open(url, tmp_path / "three", role="member")
    (tmp_path / "wrong.key").write_bytes(bytes(32))
    with pytest.raises(DataDirectoryError, match=r"wrong\.key is not the file that opens .* CELLBLOCK_SECRETS_KEY_FILE"):
        await PostgresStore.open(url, tmp_path / "three", role="member", secrets_key=tmp_path / "wrong.key")
    async with opened(url, tmp_path / "three", "command") as command:
        with pytest.raises(DataDirectoryError, match="is missing"):
            await command.keep_first_access_key(new_access_key(account=ACCOUNT, name="first"))
    assert not (tmp_path / "three" / SECRETS_KEY_NAME).exists()


async def test_key_made_at_one_server_opens_at_the_other(members: tuple[PostgresStore, PostgresStore]) -> None:
    one, two = members
    key = await one.keep_first_access_key(new_access_key(account=ACCOUNT, name="first"))
    assert (await two.get_access_key(key.id)).secret == key.secret
    assert await two.keep_first_access_key(new_access_key(account=ACCOUNT, name="first")) == key


async def test_database_that_hangs_is_an_error_soon_and_is_found_again(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection's process stands still, as when its machine does; the answer would come never."""
    monkeypatch.setattr(postgres_store, "ANSWER_SECONDS", 0.5)
    async with opened(url, tmp_path / "one", secrets_key=tmp_path / "shared.key") as store:
        made = await store.create_session(session(), max_live=9)
        assert await store.get_session(made.key) == made
        processes = backends(url)
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            async with asyncio.timeout(5):
                asked = [store.get_session(made.key) for _ in range(20)] + [store.create_session(session(), max_live=9)]
                results = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(result, StoreUnavailable) for result in results)
            assert await store.get_session(made.key) == made  # over a new connection, while the old ones still hang
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)


def backends(url: str) -> list[int]:
    """The database's processes for clients of the store."""
    with psycopg.connect(url) as connection:
        return [pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'cellblock'")]
