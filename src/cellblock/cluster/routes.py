"""Which requests go to a node, told from their heads alone; nothing of them is proven."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from cellblock.http.mcp_mount import MCP_PATH
from cellblock.wire.operations import SESSION_HEADER

MCP_SESSION_HEADER = b"mcp-session-id"
SESSION_ID_LENGTH = 26  # of a ULID; the id of the node follows it
NODE_ID_LENGTH = 10

_PLAIN_TARGET = re.compile(rb"/[!\"$->@-~]*")
_PLAIN_QUERY = re.compile(rb"[!\"$-~]*")
_START = re.compile(rb"/code-interpreters/[^/]+/sessions/start")
_STOP = re.compile(rb"/code-interpreters/[^/]+/sessions/stop")
_INVOKE = re.compile(rb"/code-interpreters/[^/]+/tools/invoke")
_FILE = re.compile(rb"/code-interpreters/[^/]+/sessions/([^/]+)/files/.+")
_SESSION_ID = re.compile(r"[0-9A-Z]{26}[0-9A-Z]{10}")
_NODE_ID = re.compile(r"[0-9A-Z]{10}")
_KEY_ID = re.compile(rb"AWS4-HMAC-SHA256 +Credential=([A-Za-z0-9_-]{1,128})/")


@dataclass(frozen=True, slots=True)
class StartsSession:
    """For a node that is to be chosen."""


@dataclass(frozen=True, slots=True)
class OfSession:
    """For the node that has the session."""

    node_id: str


@dataclass(frozen=True, slots=True)
class OfMcp:
    """For the node that has the connection; a new connection, without a node yet, gets one."""

    node_id: str | None


Route = StartsSession | OfSession | OfMcp
Headers = Sequence[tuple[bytes, bytes]]


def route_of(method: str, path: bytes, query: bytes, headers: Headers) -> Route | None:
    """The route; None for what is answered without a node."""
    if not _PLAIN_TARGET.fullmatch(path) or not _PLAIN_QUERY.fullmatch(query):
        return None
    if method == "POST" and _INVOKE.fullmatch(path):
        return _of_session(_only(headers, SESSION_HEADER.encode()))
    if method == "PUT" and _START.fullmatch(path):
        return StartsSession()
    if method == "PUT" and _STOP.fullmatch(path):
        return _of_session(_session_in(query))
    if method in ("GET", "PUT") and (found := _FILE.fullmatch(path)):
        return _of_session(found[1].decode("ascii"))
    if path == MCP_PATH.encode() and method in ("GET", "POST", "DELETE"):
        return _of_mcp(method, headers)
    return None


def key_id_in(headers: Headers) -> str | None:
    """The access key that a signed request names."""
    authorization = _only(headers, b"authorization")
    found = _KEY_ID.match(authorization.encode("latin-1")) if authorization is not None else None
    return found[1].decode("ascii") if found else None


def node_of_session(session_id: str) -> str | None:
    """The node that made the session; None for an id that no node of a cluster made."""
    return session_id[SESSION_ID_LENGTH:] if _SESSION_ID.fullmatch(session_id) else None


def for_client(node_id: str, connection_id: bytes) -> bytes:
    """The id of a connection of MCP as clients have it: with its node before it."""
    return node_id.encode("ascii") + connection_id


def for_node(connection_id: bytes) -> bytes:
    """The id as the node has it."""
    return connection_id[NODE_ID_LENGTH:]


def _of_session(session_id: str | None) -> OfSession | None:
    node_id = node_of_session(session_id or "")
    return OfSession(node_id) if node_id else None


def _of_mcp(method: str, headers: Headers) -> OfMcp | None:
    connection_id = _only(headers, MCP_SESSION_HEADER)
    if connection_id is None:
        return OfMcp(None) if method == "POST" and not any(name == MCP_SESSION_HEADER for name, _ in headers) else None
    node_id = connection_id[:NODE_ID_LENGTH]
    return OfMcp(node_id) if _NODE_ID.fullmatch(node_id) else None


def _only(headers: Headers, wanted: bytes) -> str | None:
    """The header's value when it is there once."""
    values = [value for name, value in headers if name == wanted]
    return values[0].decode("latin-1").strip() if len(values) == 1 else None


def _session_in(query: bytes) -> str | None:
    values = [value for name, value in parse_qsl(query.decode("ascii"), keep_blank_values=True) if name == "sessionId"]
    return values[0] if len(values) == 1 else None
