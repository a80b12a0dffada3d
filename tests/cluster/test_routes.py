"""Which requests a front end sends on, and to whom."""

from __future__ import annotations

import random

import pytest

from cellblock.cluster.placement import NodeView, place
from cellblock.cluster.routes import OfMcp, OfSession, StartsSession, key_id_in, route_of

NODE = "N0DE000001"
SESSION = "01M84GV3C5W6RJV0Z0QK8X2T4N" + NODE
BASE = "/code-interpreters/aws.codeinterpreter.v1"
SESSION_HEADER = (b"x-amzn-code-interpreter-session-id", SESSION.encode())


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "route"),
    [
        ("PUT", f"{BASE}/sessions/start", "", [], StartsSession()),
        ("POST", f"{BASE}/tools/invoke", "", [SESSION_HEADER], OfSession(NODE)),
        ("PUT", f"{BASE}/sessions/stop", f"sessionId={SESSION}", [], OfSession(NODE)),
        ("GET", f"{BASE}/sessions/{SESSION}/files/a/b.txt", "", [], OfSession(NODE)),
        ("POST", "/mcp", "", [], OfMcp(None)),
        ("GET", "/mcp", "", [(b"mcp-session-id", NODE.encode() + b"0123")], OfMcp(NODE)),
        ("GET", f"{BASE}/sessions/get", f"sessionId={SESSION}", [], None),
        ("POST", f"{BASE}/tools/invoke", "", [SESSION_HEADER, SESSION_HEADER], None),
        ("POST", f"{BASE}/tools/invoke", "", [(SESSION_HEADER[0], b"01M84GV3C5W6RJV0Z0QK8X2T4N")], None),
        ("PUT", f"{BASE}/sessions/stop", f"sessionId={SESSION}&sessionId={SESSION}", [], None),
        ("POST", f"{BASE}/tools/invoke\r\nx: y", "", [SESSION_HEADER], None),
        ("POST", f"{BASE}/tools/invoke", "a=\r\n", [SESSION_HEADER], None),
        ("POST", f"http://other{BASE}/tools/invoke", "", [SESSION_HEADER], None),
        ("DELETE", f"{BASE}/sessions/{SESSION}/files/a", "", [], None),
        ("POST", "/mcp", "", [(b"mcp-session-id", b"a"), (b"mcp-session-id", b"b")], None),
    ],
)
def test_route_is_told_from_the_head(method: str, path: str, query: str, headers: list[tuple[bytes, bytes]], route: object) -> None:
    assert route_of(method, path.encode(), query.encode(), headers) == route


@pytest.mark.parametrize(
    "value", [b"", b"Bearer x", b"AWS4-HMAC-SHA256 Credential=/x", b"AWS4-HMAC-SHA256 Credential=" + b"A" * 129 + b"/"]
)
def test_request_that_names_no_key_is_nobodys(value: bytes) -> None:
    assert key_id_in([(b"authorization", b"AWS4-HMAC-SHA256 Credential=AKIA/2026")]) == "AKIA"
    assert key_id_in([(b"authorization", value)]) is None
    assert key_id_in([(b"authorization", b"AWS4-HMAC-SHA256 Credential=A/"), (b"authorization", b"AWS4-HMAC-SHA256 Credential=B/")]) is None


@pytest.mark.parametrize("count", [3, 200])
def test_placement_prefers_free_shares_and_leaves_out_what_is_full_or_shut(count: int) -> None:
    rng = random.Random(1)
    full = [NodeView(id=f"f{number}", name="f", capacity=10, live=10) for number in range(count)]
    shut = NodeView(id="shut", name="s", capacity=100, live=0, is_open=False)
    free = NodeView(id="free", name="x", capacity=100, live=99)
    assert place([*full, shut, free], {}, rng=rng) == [free]
    assert place([*full, shut, free], {"free": 1}, rng=rng) == []


def test_best_of_few_nodes_comes_first() -> None:
    views = [NodeView(id=str(live), name="n", capacity=10, live=live) for live in (5, 2, 9)]
    assert [one.id for one in place(views, {}, rng=random.Random(1))] == ["2", "5", "9"]
    assert place(views, {"2": 4}, rng=random.Random(1))[0].id == "5", "what was sent there since its figures came counts"
