"""Contract of every store: pages and their tokens."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest

from cellblock.errors import ValidationFailed
from cellblock.model.resources import BUILT_IN_INTERPRETER_ID, PageRequest, Session
from cellblock.store.protocol import Store
from store.things import ACCOUNT, START, interpreter, session


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


async def test_pages_hold_every_session_once_also_those_of_one_moment(store: Store) -> None:
    made = [await store.create_session(session(created_at=START + timedelta(seconds=number // 3)), max_live=99) for number in range(10)]
    found: list[Session] = []
    token = None
    while not found or token:
        page = await store.list_sessions(ACCOUNT, BUILT_IN_INTERPRETER_ID, PageRequest(max_results=3, next_token=token))
        found.extend(page.items)
        token = page.next_token
    assert found == sorted(made, key=lambda one: (one.created_at, one.id), reverse=True)


async def test_session_that_starts_between_pages_moves_nothing(store: Store) -> None:
    made = [await store.create_session(session(created_at=START + timedelta(seconds=number)), max_live=99) for number in range(4)]
    first = await store.list_sessions(ACCOUNT, BUILT_IN_INTERPRETER_ID, PageRequest(max_results=2))
    await store.create_session(session(created_at=START + timedelta(hours=1)), max_live=99)
    second = await store.list_sessions(ACCOUNT, BUILT_IN_INTERPRETER_ID, PageRequest(max_results=2, next_token=first.next_token))
    assert [*first.items, *second.items] == made[::-1]


async def test_last_page_has_no_token_when_it_is_exactly_full(store: Store) -> None:
    await store.create_interpreter(interpreter())
    page = await store.list_interpreters(ACCOUNT, PageRequest(max_results=2))
    assert (len(page.items), page.next_token) == (2, None)


async def test_interpreters_page_too(store: Store) -> None:
    made = await store.create_interpreter(interpreter())
    first = await store.list_interpreters(ACCOUNT, PageRequest(max_results=1))
    second = await store.list_interpreters(ACCOUNT, PageRequest(max_results=1, next_token=first.next_token))
    assert [item.id for item in first.items + second.items] == [made.id, BUILT_IN_INTERPRETER_ID]


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "not base64!",
        "\N{SNOWMAN}",
        encoded("hello"),
        encoded("[]"),
        encoded('["1","2"]'),
        encoded("[1,2]"),
        encoded('[-1,"a"]'),
        encoded('[9007199254740992,"a"]'),
        encoded('[1,"\\ud800"]'),
        encoded("[" * 1500),
        "A" * 100_000,
    ],
)
async def test_malformed_token_is_refused_by_its_name(store: Store, token: str) -> None:
    with pytest.raises(ValidationFailed, match="nextToken") as caught:
        await store.list_interpreters(ACCOUNT, PageRequest(next_token=token))
    assert [field.name for field in caught.value.fields] == ["nextToken"]
