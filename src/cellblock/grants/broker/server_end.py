"""The server's end of the broker: its process, and a log line for what it refuses."""

from __future__ import annotations

import contextlib
import socket

import msgspec
import structlog

from cellblock.grants.broker.orders import Begin, Close, Closed, Open, encode, read_report
from cellblock.machine.helper_process import HelperProcess, Program
from cellblock.settings.table import host_environment

_log = structlog.get_logger("cellblock.broker")


class BrokerProcess:
    """One process for all sessions of a node. One owner closes it."""

    def __init__(self, begin: Begin) -> None:
        program = Program(
            module="cellblock.grants.broker.process",
            environment=host_environment(),  # where profiles lie, and by what the service's own credentials are found
            greeting=encode(begin),
            is_silent=True,
        )
        self._helper = HelperProcess(program, self._take)

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._helper.pid

    async def open(self, order: Open, listener: socket.socket) -> None:
        """Let a session reach S3; the listener belongs to this object from here on. Raises OSError."""
        await self._helper.open(order.session_id, encode(order), listener)

    async def forget(self, session_id: str) -> None:
        """The session is over: wait, a bounded time, until nothing of it is left in the broker."""
        await self._helper.forget(session_id, encode(Close(session_id=session_id)))

    async def close(self) -> None:
        """End the process."""
        await self._helper.close()

    def _take(self, message: bytes) -> None:
        with contextlib.suppress(msgspec.DecodeError):  # it reads what cells send, and is believed as little
            report = read_report(message)
            if isinstance(report, Closed):
                self._helper.has_let_go(report.session_id)
            else:
                _log.warning("s3 refused", session=report.session_id, request=report.request, reason=report.reason)
