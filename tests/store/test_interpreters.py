"""Contract of every store: interpreters."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from cellblock.errors import AccessDenied, IdempotencyMismatch, InterpreterInUse, InterpreterNotFound, NameInUse, QuotaExceeded
from cellblock.model.resources import BUILT_IN_INTERPRETER, BUILT_IN_INTERPRETER_ID, PageRequest
from cellblock.store.protocol import Store
from store.things import ACCOUNT, OTHER_ACCOUNT, START, SteppingClock, claim, interpreter, session


async def test_interpreter_comes_back_as_it_was_given(store: Store) -> None:
    made = interpreter()
    assert await store.create_interpreter(made) == made
    assert await store.get_interpreter(ACCOUNT, made.id) == made


async def test_built_in_interpreter_exists_in_every_account(store: Store) -> None:
    assert await store.get_interpreter(OTHER_ACCOUNT, BUILT_IN_INTERPRETER_ID) == BUILT_IN_INTERPRETER


async def test_interpreter_of_another_account_is_not_found(store: Store) -> None:
    made = await store.create_interpreter(interpreter())
    with pytest.raises(InterpreterNotFound, match=made.id):
        await store.get_interpreter(OTHER_ACCOUNT, made.id)
    with pytest.raises(InterpreterNotFound):
        await store.delete_interpreter(OTHER_ACCOUNT, made.id)


async def test_name_in_use_is_refused_in_the_same_account_only(store: Store) -> None:
    await store.create_interpreter(interpreter("sales"))
    with pytest.raises(NameInUse, match="CodeInterpreter with name 'sales' already exists in this account"):
        await store.create_interpreter(interpreter("sales"))
    await store.create_interpreter(interpreter("sales", account=OTHER_ACCOUNT))


async def test_one_of_many_creations_at_once_gets_the_name(store: Store) -> None:
    results = await asyncio.gather(*(store.create_interpreter(interpreter("sales")) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(result, NameInUse) for result in results) == 19


async def test_list_holds_own_and_built_in_interpreters_newest_first(store: Store) -> None:
    older = await store.create_interpreter(interpreter("older"))
    newer = await store.create_interpreter(interpreter("newer", created_at=START + timedelta(microseconds=1)))
    await store.create_interpreter(interpreter("theirs", account=OTHER_ACCOUNT))
    assert (await store.list_interpreters(ACCOUNT, PageRequest())).items == (newer, older, BUILT_IN_INTERPRETER)


async def test_list_filters_by_kind(store: Store) -> None:
    made = await store.create_interpreter(interpreter())
    assert (await store.list_interpreters(ACCOUNT, PageRequest(), kind="SYSTEM")).items == (BUILT_IN_INTERPRETER,)
    assert (await store.list_interpreters(ACCOUNT, PageRequest(), kind="CUSTOM")).items == (made,)


async def test_deleted_interpreter_is_gone_and_its_name_free(store: Store, clock: SteppingClock) -> None:
    made = await store.create_interpreter(interpreter("sales"))
    clock.forward(timedelta(seconds=9))
    deleted = await store.delete_interpreter(ACCOUNT, made.id)
    assert (deleted.id, deleted.status, deleted.updated_at) == (made.id, "DELETED", clock.time)
    with pytest.raises(InterpreterNotFound):
        await store.get_interpreter(ACCOUNT, made.id)
    with pytest.raises(InterpreterNotFound):
        await store.delete_interpreter(ACCOUNT, made.id)
    assert (await store.list_interpreters(ACCOUNT, PageRequest(), kind="CUSTOM")).items == ()
    await store.create_interpreter(interpreter("sales"))


async def test_built_in_interpreter_cannot_be_deleted(store: Store) -> None:
    with pytest.raises(AccessDenied, match="built in"):
        await store.delete_interpreter(ACCOUNT, BUILT_IN_INTERPRETER_ID)


async def test_interpreter_with_live_sessions_is_not_deleted_and_they_are_counted(store: Store) -> None:
    made = await store.create_interpreter(interpreter())
    live = [await store.create_session(session(made.id), max_live=10) for _ in range(3)]
    await store.stop_session(live[0].key, "stopped")
    with pytest.raises(InterpreterInUse, match="2 live sessions"):
        await store.delete_interpreter(ACCOUNT, made.id)
    assert await store.get_interpreter(ACCOUNT, made.id) == made


async def test_ended_sessions_can_be_asked_about_after_their_interpreter_is_deleted(store: Store) -> None:
    made = await store.create_interpreter(interpreter())
    ended = await store.create_session(session(made.id), max_live=10)
    await store.stop_session(ended.key, "stopped")
    await store.delete_interpreter(ACCOUNT, made.id)
    assert (await store.get_session(ended.key)).state == "TERMINATED"


async def test_repeated_create_returns_the_first_interpreter(store: Store) -> None:
    first = await store.create_interpreter(interpreter(), claim=claim("CreateCodeInterpreter"))
    again = await store.create_interpreter(interpreter(), claim=claim("CreateCodeInterpreter"))
    assert again == first


async def test_create_token_with_other_parameters_is_refused(store: Store) -> None:
    await store.create_interpreter(interpreter(), claim=claim("CreateCodeInterpreter"))
    with pytest.raises(IdempotencyMismatch):
        await store.create_interpreter(interpreter("other"), claim=claim("CreateCodeInterpreter", asked="something else"))


async def test_create_token_is_free_again_when_its_interpreter_is_deleted(store: Store) -> None:
    first = await store.create_interpreter(interpreter(), claim=claim("CreateCodeInterpreter"))
    await store.delete_interpreter(ACCOUNT, first.id)
    second = await store.create_interpreter(interpreter(), claim=claim("CreateCodeInterpreter"))
    assert second.id != first.id


async def test_refused_create_does_not_use_up_its_token(store: Store) -> None:
    taken = await store.create_interpreter(interpreter())
    with pytest.raises(NameInUse):
        await store.create_interpreter(interpreter(), claim=claim("CreateCodeInterpreter"))
    await store.delete_interpreter(ACCOUNT, taken.id)
    await store.create_interpreter(interpreter(), claim=claim("CreateCodeInterpreter", asked="something else"))


async def test_repeated_delete_is_answered_like_the_first(store: Store) -> None:
    made = await store.create_interpreter(interpreter())
    first = await store.delete_interpreter(ACCOUNT, made.id, claim=claim("DeleteCodeInterpreter"))
    assert await store.delete_interpreter(ACCOUNT, made.id, claim=claim("DeleteCodeInterpreter")) == first


async def test_quota_counts_interpreters_of_the_account_that_are_not_deleted(store: Store) -> None:
    first = await store.create_interpreter(interpreter("one"), max_kept=2)
    await store.create_interpreter(interpreter("two"), max_kept=2)
    with pytest.raises(QuotaExceeded, match=r"quota 'Code interpreters per account' is 2 and .* CELLBLOCK_MAX_INTERPRETERS"):
        await store.create_interpreter(interpreter("three"), max_kept=2)
    await store.create_interpreter(interpreter("three", account=OTHER_ACCOUNT), max_kept=2)
    await store.delete_interpreter(ACCOUNT, first.id)
    await store.create_interpreter(interpreter("three"), max_kept=2)
