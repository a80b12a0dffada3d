"""The head of an HTTP request: what is known before its body is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cellblock.errors import FieldProblem, UnknownOperation, ValidationFailed

# A "#" would start a fragment, which a signature does not cover; everything else outside printable ASCII is percent-encoded by clients.
_PATH = re.compile(rb"/[!\"$->@-~]*")
_QUERY = re.compile(rb"[!\"$-~]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Method, path and query as sent, percent-encoding included; header names in lower case, repeated ones joined by a comma."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


def read_head(method: str, path: bytes, query: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Head:
    """The head from what the HTTP server gives; refuses paths and bodies in forms that no client of the API sends."""
    if not _PATH.fullmatch(path) or not _QUERY.fullmatch(query):
        raise UnknownOperation(method, ascii(path))
    head = Head(method=method, path=path.decode("ascii"), query=query.decode("ascii"), headers=_joined(headers))
    _refuse_encoded_body(head.headers)
    return head


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip()
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _refuse_encoded_body(headers: Mapping[str, str]) -> None:
    if headers.get("content-encoding", "").lower() in {"", "identity"}:
        return
    problem = "only identity is accepted: send the body as it is"
    raise ValidationFailed(f"Content-Encoding: {problem}", reason="CannotParse", fields=(FieldProblem("Content-Encoding", problem),))
