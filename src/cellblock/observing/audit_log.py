"""The audit log: who did what, when, from where, and with what result; in a file of the data directory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from cellblock.model.happenings import RequestRecord, SessionEnd
from cellblock.model.resources import interpreter_arn
from cellblock.observing.rotating_file import RotatingFile
from cellblock.wire.encoding import json_bytes

AUDIT_NAME = "audit.jsonl"
LOG_DIRECTORY = "logs"
_CALLS = "InvokeCodeInterpreter"

_log = structlog.get_logger("cellblock.audit")


class AuditLog:
    """An observer that writes at once, so that a server that is killed has told all it answered.

    Only requests whose signature was right stand here: nobody else can fill the log or push others' lines out of it.
    """

    def __init__(self, file: RotatingFile, *, with_calls: bool, now: Callable[[], datetime]) -> None:
        self._file = file
        self._with_calls = with_calls
        self._now = now

    def request_done(self, record: RequestRecord) -> None:
        """See Observer."""
        if record.is_proven and record.key is not None and (self._with_calls or record.operation != _CALLS):
            self._write(_request_line(record))

    def session_ended(self, end: SessionEnd) -> None:
        """See Observer."""
        session = end.session
        self._write(
            {
                "operation": "SessionEnded",
                "account": session.account,
                "interpreter": session.interpreter_id,
                "session": session.id,
                "seconds": round(end.seconds, 3),
                "result": end.reason,
            }
        )

    def operator_acted(self, operation: str, *, user_id: int, facts: dict[str, object]) -> None:
        """Something that the operator of this machine did, not through a key."""
        self._write({"operation": operation, "who": f"user id {user_id} of this machine", **facts})

    def _write(self, line: dict[str, object]) -> None:
        try:
            self._file.append(json_bytes({"time": self._now().isoformat(timespec="milliseconds"), **line}) + b"\n")
        except OSError as error:
            _log.error("the audit log cannot be written", reason=str(error), **line)


def _request_line(record: RequestRecord) -> dict[str, object]:
    assert record.key is not None
    line: dict[str, object] = {
        "operation": record.operation,
        "account": record.key.account,
        "key": record.key.name,
        "key_id": record.key.id,
        "from": record.client,
        "request_id": record.request_id,
        "resource": interpreter_arn(record.interpreter_id or "*", region=record.region, account=record.key.account),
    }
    if record.session_id:
        line["session"] = record.session_id
    if record.tool:
        line["tool"] = record.tool
    return line | {"status": record.status, "result": record.error or "done"}
