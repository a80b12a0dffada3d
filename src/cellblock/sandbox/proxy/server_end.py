"""The server's end of the proxy: its process, and a log line for what it refuses."""

from __future__ import annotations

import contextlib
import socket

import msgspec
import structlog

from cellblock.errors import HostNotReady
from cellblock.machine.helper_process import MESSAGE_BYTES, HelperProcess, Program
from cellblock.sandbox.proxy.orders import Close, Closed, Open, encode, read_report
from cellblock.settings.table import host_environment

_log = structlog.get_logger("cellblock.proxy")


class ProxyProcess:
    """One process for all cells of a node, which runs as `owner`. One owner closes it."""

    def __init__(self, owner: int) -> None:
        program = Program(module="cellblock.sandbox.proxy.process", arguments=(str(owner),), environment=host_environment())
        self._helper = HelperProcess(program, self._take)

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._helper.pid

    async def open(self, order: Open, listener: socket.socket) -> None:
        """Let a cell use the proxy; the listener belongs to this object from here on. Raises HostNotReady."""
        message = encode(order)
        if len(message) > MESSAGE_BYTES:
            listener.close()
            raise HostNotReady(f"what a session may reach has over {MESSAGE_BYTES} bytes: fewer ranges, shorter lists")
        try:
            await self._helper.open(order.cell, message, listener)
        except OSError as error:
            raise HostNotReady(f"the proxy is not there: {error.strerror or 'it did not answer in time'}") from error

    async def forget(self, cell: str) -> None:
        """The cell is over: wait, a bounded time, until nothing of it is left in the process."""
        await self._helper.forget(cell, encode(Close(cell=cell)))

    async def close(self) -> None:
        """End the process."""
        await self._helper.close()

    def _take(self, message: bytes) -> None:
        with contextlib.suppress(msgspec.DecodeError):  # it reads what cells send, and is believed as little
            report = read_report(message)
            if isinstance(report, Closed):
                self._helper.has_let_go(report.cell)
            else:
                _log.warning("connection refused", cell=report.cell, wanted=report.wanted, reason=report.reason)
