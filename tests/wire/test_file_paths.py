"""Which file a request is for: plain paths only, and nothing that a signature's canonical form would take for another."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellblock.errors import CellblockError, UnknownOperation, ValidationFailed
from cellblock.model.requests import FileInSession
from cellblock.wire.file_paths import file_in_session
from cellblock.wire.head import Head

SESSION = "/code-interpreters/aws.codeinterpreter.v1/sessions/01ABC"


def head(path: str, *, method: str = "GET", query: str = "") -> Head:
    return Head(method=method, path=path, query=query, headers={})


@pytest.mark.parametrize("path", ["a", "a/b.txt", "ä ß/€.csv", "a%2fb", "...", "-", "a:b"])
def test_path_is_percent_decoded_once(path: str) -> None:
    found = file_in_session(head(f"{SESSION}/files/{quote(path)}"))
    assert found == FileInSession(interpreter_id="aws.codeinterpreter.v1", session_id="01ABC", path=path)


@pytest.mark.parametrize("path", ["..", ".", "a/../b", "a//b", "/a", "a/", "%2e%2e/a", "a%2f..%2fb", "a/%2E", "%ff"])
def test_path_that_could_be_another_is_refused(path: str) -> None:
    with pytest.raises(ValidationFailed):
        file_in_session(head(f"{SESSION}/files/{path}"))


@pytest.mark.parametrize(
    "asked",
    [
        head(f"{SESSION}/files/"),
        head(f"{SESSION}/files/a", method="DELETE"),
        head(f"{SESSION}/files/a", query="x=1"),
        head("/code-interpreters/a/files/b"),
        head("/x/files/a"),
    ],
    ids=lambda asked: f"{asked.method} {asked.path}",
)
def test_what_is_no_file_is_no_operation(asked: Head) -> None:
    with pytest.raises(UnknownOperation):
        file_in_session(asked)


@pytest.mark.parametrize(
    "base", ["/code-interpreters/a%20b/sessions/1", "/code-interpreters/a/sessions/%2e%2e", "/code-interpreters/%ff/sessions/1"]
)
def test_names_are_held_to_the_api(base: str) -> None:
    with pytest.raises(ValidationFailed):
        file_in_session(head(f"{base}/files/a"))


@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60))
def test_any_path_is_a_plain_one_or_refused(path: str) -> None:
    try:
        found = file_in_session(head(f"{SESSION}/files/{path}"))
    except CellblockError:
        return
    assert not {"", ".", ".."} & set(found.path.split("/"))
