"""Contract of every store: sessions, their quota and their ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from cellblock.errors import (
    IdempotencyMismatch,
    InterpreterInUse,
    InterpreterNotFound,
    QuotaExceeded,
    SessionAlreadyTerminated,
    SessionNotFound,
)
from cellblock.model.resources import PageRequest, SessionKey
from cellblock.store.protocol import Store
from store.things import ACCOUNT, OTHER_ACCOUNT, START, SteppingClock, claim, interpreter, session


async def test_session_comes_back_as_it_was_given(store: Store) -> None:
    made = session()
    assert await store.create_session(made, max_live=1) == made
    assert await store.get_session(made.key) == made


async def test_session_is_found_only_under_its_own_interpreter_and_account(store: Store) -> None:
    other = await store.create_interpreter(interpreter())
    made = await store.create_session(session(), max_live=1)
    for key in (
        SessionKey(account=OTHER_ACCOUNT, interpreter_id=made.interpreter_id, session_id=made.id),
        SessionKey(account=ACCOUNT, interpreter_id=other.id, session_id=made.id),
    ):
        with pytest.raises(SessionNotFound):
            await store.get_session(key)
        with pytest.raises(SessionNotFound):
            await store.stop_session(key, "stopped")
    assert (await store.get_session(made.key)).state == "READY"


async def test_session_of_an_unknown_or_deleted_interpreter_is_refused(store: Store) -> None:
    with pytest.raises(InterpreterNotFound, match="nothing-0123456789"):
        await store.create_session(session("nothing-0123456789"), max_live=1)
    gone = await store.create_interpreter(interpreter())
    await store.delete_interpreter(ACCOUNT, gone.id)
    with pytest.raises(InterpreterNotFound):
        await store.create_session(session(gone.id), max_live=1)


async def test_session_of_another_accounts_interpreter_is_refused(store: Store) -> None:
    theirs = await store.create_interpreter(interpreter(account=OTHER_ACCOUNT))
    with pytest.raises(InterpreterNotFound):
        await store.create_session(session(theirs.id), max_live=1)


async def test_quota_counts_live_sessions_of_the_account(store: Store) -> None:
    first = await store.create_session(session(), max_live=2)
    await store.create_session(session(), max_live=2)
    with pytest.raises(
        QuotaExceeded, match=r"quota 'Concurrent sessions per account' is 2 and .* 2 live sessions.* CELLBLOCK_MAX_SESSIONS"
    ):
        await store.create_session(session(), max_live=2)
    await store.create_session(session(account=OTHER_ACCOUNT), max_live=2)
    await store.stop_session(first.key, "stopped")
    await store.create_session(session(), max_live=2)
    assert await store.count_live_sessions(ACCOUNT) == 2


async def test_many_starts_at_once_never_exceed_the_quota(store: Store) -> None:
    results = await asyncio.gather(*(store.create_session(session(), max_live=10) for _ in range(200)), return_exceptions=True)
    assert sum(isinstance(result, QuotaExceeded) for result in results) == 190
    assert await store.count_live_sessions(ACCOUNT) == 10


async def test_delete_and_start_at_once_leave_no_session_without_interpreter(store: Store) -> None:
    for name in (f"racer{number}" for number in range(10)):
        made = await store.create_interpreter(interpreter(name))
        started, deleted = await asyncio.gather(
            store.create_session(session(made.id), max_live=100),
            store.delete_interpreter(ACCOUNT, made.id),
            return_exceptions=True,
        )
        assert isinstance(started, InterpreterNotFound) != isinstance(deleted, InterpreterInUse)


async def test_stop_keeps_reason_and_time(store: Store, clock: SteppingClock) -> None:
    made = await store.create_session(session(), max_live=1)
    clock.forward(timedelta(seconds=3))
    stopped = await store.stop_session(made.key, "stopped by its owner")
    assert (stopped.state, stopped.end_reason, stopped.ended_at, stopped.updated_at) == (
        "TERMINATED",
        "stopped by its owner",
        clock.time,
        clock.time,
    )
    assert await store.get_session(made.key) == stopped


async def test_second_stop_is_refused(store: Store) -> None:
    made = await store.create_session(session(), max_live=1)
    await store.stop_session(made.key, "stopped")
    with pytest.raises(SessionAlreadyTerminated, match=rf"Session already terminated: {made.id} \(stopped\)"):
        await store.stop_session(made.key, "stopped")


async def test_one_of_many_stops_at_once_succeeds(store: Store) -> None:
    made = await store.create_session(session(), max_live=1)
    results = await asyncio.gather(*(store.stop_session(made.key, f"reason {number}") for number in range(20)), return_exceptions=True)
    assert sum(isinstance(result, SessionAlreadyTerminated) for result in results) == 19


async def test_session_ends_once_and_keeps_the_first_reason(store: Store) -> None:
    made = await store.create_session(session(), max_live=1)
    assert await store.end_session(made.id, "expired")
    assert not await store.end_session(made.id, "out of memory")
    assert (await store.get_session(made.key)).end_reason == "expired"


async def test_end_of_an_unknown_session_changes_nothing(store: Store) -> None:
    assert not await store.end_session("nothing", "expired")


async def test_restart_ends_every_live_session_with_a_reason(store: Store) -> None:
    ended = await store.create_session(session(), max_live=9)
    await store.stop_session(ended.key, "stopped")
    live = [await store.create_session(session(account=account), max_live=9) for account in (ACCOUNT, OTHER_ACCOUNT)]
    assert await store.end_sessions_of_dead_server("the server restarted") == 2
    assert [(await store.get_session(one.key)).end_reason for one in live] == ["the server restarted"] * 2
    assert (await store.get_session(ended.key)).end_reason == "stopped"
    assert await store.end_sessions_of_dead_server("the server restarted") == 0


async def test_list_is_newest_first_and_filters_by_state(store: Store) -> None:
    old, middle, new = [
        await store.create_session(session(created_at=START + timedelta(seconds=number)), max_live=9) for number in range(3)
    ]
    stopped = await store.stop_session(middle.key, "stopped")
    await store.create_session(session(account=OTHER_ACCOUNT), max_live=9)
    listed = {
        state: (await store.list_sessions(ACCOUNT, old.interpreter_id, PageRequest(), state=state)).items
        for state in (None, "READY", "TERMINATED")
    }
    assert listed == {None: (new, stopped, old), "READY": (new, old), "TERMINATED": (stopped,)}


async def test_list_of_an_unknown_interpreter_is_refused(store: Store) -> None:
    with pytest.raises(InterpreterNotFound):
        await store.list_sessions(ACCOUNT, "nothing-0123456789", PageRequest())


async def test_repeated_start_returns_the_first_session_even_at_the_quota(store: Store) -> None:
    first = await store.create_session(session(), max_live=1, claim=claim("StartCodeInterpreterSession"))
    assert await store.create_session(session(), max_live=1, claim=claim("StartCodeInterpreterSession")) == first
    assert await store.count_live_sessions(ACCOUNT) == 1


async def test_many_starts_at_once_with_one_token_make_one_session(store: Store) -> None:
    token = claim("StartCodeInterpreterSession")
    results = await asyncio.gather(*(store.create_session(session(), max_live=9, claim=token) for _ in range(20)))
    assert len({result.id for result in results}) == 1
    assert await store.count_live_sessions(ACCOUNT) == 1


async def test_start_token_with_other_parameters_is_refused(store: Store) -> None:
    await store.create_session(session(), max_live=9, claim=claim("StartCodeInterpreterSession"))
    with pytest.raises(IdempotencyMismatch):
        await store.create_session(session(), max_live=9, claim=claim("StartCodeInterpreterSession", asked="something else"))


async def test_token_is_its_accounts_and_operations_own(store: Store) -> None:
    first = await store.create_session(session(), max_live=9, claim=claim("StartCodeInterpreterSession"))
    theirs = await store.create_session(
        session(account=OTHER_ACCOUNT), max_live=9, claim=claim("StartCodeInterpreterSession", account=OTHER_ACCOUNT, asked="other")
    )
    assert theirs.id != first.id
    await store.create_interpreter(interpreter(), claim=claim("CreateCodeInterpreter", asked="yet another"))


async def test_discarded_session_frees_its_place_and_its_token(store: Store) -> None:
    first = await store.create_session(session(), max_live=1, claim=claim("StartCodeInterpreterSession"))
    await store.discard_session(first.id)
    with pytest.raises(SessionNotFound):
        await store.get_session(first.key)
    second = await store.create_session(session(), max_live=1, claim=claim("StartCodeInterpreterSession", asked="something else"))
    assert second.id != first.id


async def test_discard_leaves_an_ended_session(store: Store) -> None:
    made = await store.create_session(session(), max_live=1)
    await store.stop_session(made.key, "stopped")
    await store.discard_session(made.id)
    assert (await store.get_session(made.key)).state == "TERMINATED"


async def test_repeated_stop_with_its_token_is_answered_like_the_first(store: Store) -> None:
    made = await store.create_session(session(), max_live=1)
    stopped = await store.stop_session(made.key, "stopped", claim=claim("StopCodeInterpreterSession"))
    assert await store.stop_session(made.key, "stopped", claim=claim("StopCodeInterpreterSession")) == stopped


async def test_cancelled_start_followed_by_discard_leaves_no_session(store: Store) -> None:
    made = [session() for _ in range(20)]
    starts = [asyncio.ensure_future(store.create_session(one, max_live=99)) for one in made]
    await store.count_live_sessions(ACCOUNT)
    for start in starts:
        start.cancel()
    await asyncio.gather(*starts, return_exceptions=True)
    for one in made:
        await store.discard_session(one.id)
    assert await store.count_live_sessions(ACCOUNT) == 0


async def test_purge_forgets_what_ended_before_and_nothing_else(store: Store, clock: SteppingClock) -> None:
    gone = await store.create_interpreter(interpreter())
    old, live = [await store.create_session(session(gone.id), max_live=9) for _ in range(2)]
    await store.end_session(old.id, "expired")
    clock.forward(timedelta(days=30))
    recent = await store.create_session(session(), max_live=9)
    await store.end_session(recent.id, "expired")
    assert await store.purge(sessions_ended_before=clock.time) == 1
    with pytest.raises(SessionNotFound):
        await store.get_session(old.key)
    assert (await store.get_session(recent.key)).state == "TERMINATED"
    assert (await store.get_session(live.key)).state == "READY"


async def test_token_is_forgotten_after_a_day(store: Store, clock: SteppingClock) -> None:
    first = await store.create_session(session(), max_live=9, claim=claim("StartCodeInterpreterSession"))
    clock.forward(timedelta(days=1, microseconds=1))
    await store.purge(sessions_ended_before=START)
    again = await store.create_session(session(), max_live=9, claim=claim("StartCodeInterpreterSession", asked="something else"))
    assert again.id != first.id


async def test_purge_of_more_than_one_chunk_forgets_all(store: Store, clock: SteppingClock) -> None:
    for one in [session() for _ in range(501)]:
        await store.create_session(one, max_live=10_000)
    await store.end_sessions_of_dead_server("the server restarted")
    clock.forward(timedelta(seconds=1))
    assert await store.purge(sessions_ended_before=clock.time) == 501
