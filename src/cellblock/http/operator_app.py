"""What the operator of this machine asks a running server, over a socket in the data directory that only its owner and root reach."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from cellblock.http.protocol import BoundedHttp
from cellblock.observing.audit_log import AuditLog
from cellblock.sessions.figures import LiveFigures, ServerFigures, SessionFigures
from cellblock.sessions.live import LiveSessions
from cellblock.wire.encoding import json_bytes

SOCKET_MODE = 0o600
STOPPED_BY_OPERATOR = "stopped by the operator"

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (unix(7), SO_PEERCRED)
_STOP = re.compile(r"/sessions/([0-9A-Za-z_-]{1,64})/stop")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = tuple[int, object]


class OperatorHttp(BoundedHttp):
    """HTTP for this user and root alone: the mode of the directory says so, and the kernel is asked as well."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """asyncio: somebody has connected."""
        super().connection_made(transport)
        user_id = _user_id(transport)
        self.client = (str(user_id), 0)
        if user_id not in (0, os.geteuid()):
            transport.abort()


class OperatorApplication:
    """ASGI: `GET /server`, and `POST /sessions/ID/stop`."""

    def __init__(self, live: LiveSessions, figures: LiveFigures, audit: AuditLog | None) -> None:
        self._live = live
        self._figures = figures
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: one request."""
        status, value = await self._answer(scope["method"], scope["path"], user_id=int(scope["client"][0]))
        body = json_bytes(value)
        headers = [(b"Content-Type", b"application/json"), (b"Content-Length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, method: str, path: str, *, user_id: int) -> Answer:
        if (method, path) == ("GET", "/server"):
            return 200, _server(await self._figures.read())
        found = _STOP.fullmatch(path)
        if method == "POST" and found:
            return await self._stop(found[1], user_id)
        return 404, {"message": f"nothing answers to {method} {path[:100]}"}

    async def _stop(self, session_id: str, user_id: int) -> Answer:
        session = self._live.find(session_id)
        if session is None:
            return 404, {"message": f"no session {session_id} lives on this server"}
        if self._audit is not None:
            facts: dict[str, object] = {"account": session.record.account, "session": session_id}
            self._audit.operator_acted("OperatorStopSession", user_id=user_id, facts=facts)
        await self._live.end(session, STOPPED_BY_OPERATOR)
        return 200, {"sessionId": session_id, "state": "TERMINATED", "reason": session.end_reason}


def _server(figures: ServerFigures) -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "draining": figures.is_draining,
        "poolCells": figures.pool_cells,
        "limits": figures.node.limits,
        "sessions": [_session(one) for one in figures.sessions],
    }


def _session(figures: SessionFigures) -> dict[str, object]:
    record, usage = figures.session, figures.usage
    return {
        "sessionId": record.id,
        "name": record.name,
        "account": record.account,
        "interpreter": record.interpreter_id,
        "state": record.state,
        "startedAt": record.created_at,
        "ageSeconds": round(figures.age_seconds, 1),
        "secondsLeft": round(figures.seconds_left, 1),
        "calls": figures.calls,
        "memoryBytes": usage.memory_bytes if usage else None,
        "cpuSeconds": round(usage.cpu_seconds, 3) if usage else None,
        "processes": usage.process_count if usage else None,
        "reason": None,
    }


def _user_id(transport: asyncio.Transport) -> int:
    """The id of the process at the other end; a copy of the descriptor, because an event loop's own socket object is none."""
    descriptor = os.dup(cast("socket.socket", transport.get_extra_info("socket")).fileno())
    with socket.socket(fileno=descriptor) as peer:
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user_id: int = _CREDENTIALS.unpack(credentials)[1]
    return user_id
