"""No bytes from a client make the wire raise anything but its own errors."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cellblock.errors import CellblockError
from cellblock.wire.encoding import error
from cellblock.wire.eventstream import exception_event
from cellblock.wire.head import read_head
from cellblock.wire.operations import OPERATIONS, Operation, match
from cellblock.wire.signature import read_authorization, verify
from cellblock.wire.validation import parse

fuzzed = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
NOW = datetime(2026, 1, 2, tzinfo=UTC)
HEADER_NAMES = ["authorization", "x-amz-date", "host", "content-encoding", "x-amzn-code-interpreter-session-id", "traceparent"]
HEADERS = st.lists(st.tuples(st.sampled_from([name.encode() for name in HEADER_NAMES]), st.binary(max_size=40)), max_size=6)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
NAMES = sorted({member.name for operation in OPERATIONS for member in operation.input.members} | {"content", "path", "blob", "networkMode"})
BODIES = st.dictionaries(st.sampled_from(NAMES), JSON_VALUES | st.dictionaries(st.sampled_from(NAMES), JSON_VALUES, max_size=4), max_size=6)
AUTHORIZATIONS = st.from_regex(
    r"\AAWS4-HMAC-SHA256 Credential=[A-Z]{1,3}/2026010[12]/[a-z]{1,3}/bedrock-agentcore/aws4_request, "
    r"SignedHeaders=(host;x-amz-date|host|[a-z.;]{1,9}), Signature=0{64}\Z"
)


def read(operation: Operation, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    path = operation.path.format_map({"codeInterpreterIdentifier": "mine", "codeInterpreterId": "mine-0123456789"})
    try:
        head = read_head(operation.method, path.encode(), query, headers)
        parse(match(head), head, body)
    except CellblockError as failure:
        answer(failure)


def answer(failure: CellblockError) -> None:
    assert error(failure, "id").body
    assert exception_event(failure)


@fuzzed
@given(st.sampled_from(OPERATIONS), st.binary(), HEADERS, st.binary())
def test_any_bytes(operation: Operation, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    read(operation, query, headers, body)


@fuzzed
@given(st.sampled_from(OPERATIONS), BODIES)
def test_any_json(operation: Operation, body: dict[str, Any]) -> None:
    read(operation, b"", [], json.dumps(body).encode())


@fuzzed
@given(st.sampled_from(OPERATIONS), BODIES, st.integers(min_value=0, max_value=400), st.binary(max_size=3))
def test_any_damaged_json(operation: Operation, body: dict[str, Any], position: int, damage: bytes) -> None:
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    read(operation, b"", [], text[:position] + damage + text[position + 1 :])


@fuzzed
@given(st.text(max_size=8), st.binary(max_size=80), st.binary(max_size=80))
def test_any_method_and_path(method: str, path: bytes, query: bytes) -> None:
    try:
        match(read_head(method, b"/code-interpreters/" + path, query, []))
    except CellblockError as failure:
        answer(failure)


@fuzzed
@given(HEADERS, AUTHORIZATIONS, st.binary(max_size=40))
def test_any_authorization(headers: list[tuple[bytes, bytes]], authorization: str, query: bytes) -> None:
    usual = [(b"authorization", authorization.encode()), (b"x-amz-date", b"20260102T000000Z"), (b"host", b"h")]
    for chosen in (headers, usual, usual + headers):
        try:
            head = read_head("GET", b"/code-interpreters", query, chosen)
            verify(head, read_authorization(head, NOW), secrets=("s",), body_sha256="0" * 64)
        except CellblockError as failure:
            answer(failure)
