"""Which file of a session a request is for: /code-interpreters/{id}/sessions/{session}/files/{path}."""

from __future__ import annotations

import re
from urllib.parse import unquote

from cellblock.errors import FieldProblem, UnknownOperation, ValidationFailed
from cellblock.model.requests import FileInSession
from cellblock.wire.head import Head
from cellblock.wire.members import INTERPRETER_IDENTIFIER, SESSION_ID
from cellblock.wire.shapes import Text

MARK = "/files/"  # in no path of the API
METHODS = ("GET", "PUT")

_PATH = re.compile(r"/code-interpreters/([^/]+)/sessions/([^/]+)/files/(.+)")


def file_in_session(head: Head) -> FileInSession:
    """Raises UnknownOperation when it is for none, and ValidationFailed."""
    found = _PATH.fullmatch(head.path)
    if found is None or head.method not in METHODS or head.query:
        raise UnknownOperation(head.method, head.path)
    interpreter, session, path = (_decoded(part) for part in found.groups())
    # The canonical form that is signed has no dot segments: with them, two paths would have one signature.
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise _invalid("path", "has an empty part, . or ..")
    _check("codeInterpreterIdentifier", INTERPRETER_IDENTIFIER, interpreter)
    _check("sessionId", SESSION_ID, session)
    return FileInSession(interpreter_id=interpreter, session_id=session, path=path)


def _decoded(part: str) -> str:
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError as error:
        raise _invalid("path", "is not UTF-8 when its percent-encoding is undone") from error


def _check(name: str, shape: Text, value: str) -> None:
    if not re.fullmatch(shape.pattern or "", value):
        raise _invalid(name, f"must match {shape.pattern}")


def _invalid(name: str, problem: str) -> ValidationFailed:
    return ValidationFailed(f"{name}: {problem}", fields=(FieldProblem(name, problem),))
