"""The server's end of the proxy: starts its process when the first cell needs it, again when it has died."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys

import msgspec
import structlog

from cellblock.errors import HostNotReady
from cellblock.sandbox.proxy.orders import MESSAGE_BYTES, Close, Closed, Open, Order, Report, encode, read_report
from cellblock.settings.table import host_environment

_CLOSE_SECONDS = 5.0
_END_SECONDS = 5.0
_RESTART_SECONDS = 1.0

_log = structlog.get_logger("cellblock.proxy")


class ProxyProcess:
    """One process for all cells of a node. One owner closes it."""

    def __init__(self, owner: int) -> None:
        self._owner = owner
        self._control: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._turns = asyncio.Lock()  # guards _control: who starts a process or writes to it
        self._open: dict[str, tuple[Open, socket.socket]] = {}  # kept, so that another process can take them over
        self._closing: dict[str, asyncio.Event] = {}
        self._restarting: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def open(self, order: Open, listener: socket.socket) -> None:
        """Let a cell use the proxy; the listener belongs to this object from here on. Raises HostNotReady."""
        if len(encode(order)) > MESSAGE_BYTES:
            listener.close()
            raise HostNotReady(f"what a session may reach has over {MESSAGE_BYTES} bytes: fewer ranges, shorter lists")
        self._open[order.cell] = (order, listener)
        async with self._turns:
            if self._control is None:
                await self._start()
            else:
                await self._send(order, listener)

    async def forget(self, cell: str) -> None:
        """The cell is over: wait, a bounded time, until nothing of it is left in the process."""
        _, listener = self._open.pop(cell, (None, None))
        if listener is None:
            return
        listener.close()
        closed = self._closing[cell] = asyncio.Event()
        try:
            with contextlib.suppress(TimeoutError, HostNotReady):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    async with self._turns:
                        if self._control is None:
                            return
                        await self._send(Close(cell=cell))
                    await closed.wait()
        finally:
            del self._closing[cell]

    async def close(self) -> None:
        """End the process."""
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.gather(self._restarting, return_exceptions=True)
        self._let_go()
        for _, listener in self._open.values():
            listener.close()
        self._open.clear()
        if self._process is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-m", "cellblock.sandbox.proxy.process", str(theirs.fileno()), str(self._owner)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=host_environment(),
                start_new_session=True,
            )
        self._control = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._read)
        for order, listener in list(self._open.values()):
            await self._send(order, listener)

    async def _send(self, order: Order, listener: socket.socket | None = None) -> None:
        descriptors = [listener.fileno()] if listener else []
        try:
            while not self._sent(encode(order), descriptors):
                await self._writable()
        except OSError as error:
            self._let_go()
            raise HostNotReady(f"the proxy is gone: {error.strerror}") from error

    def _sent(self, data: bytes, descriptors: list[int]) -> bool:
        if self._control is None:
            raise BrokenPipeError(errno.EPIPE, "it ended")
        try:
            socket.send_fds(self._control, [data], descriptors)
        except BlockingIOError:
            return False
        return True

    async def _writable(self) -> None:
        assert self._control is not None
        loop, number = asyncio.get_running_loop(), self._control.fileno()
        writable = asyncio.Event()
        loop.add_writer(number, writable.set)
        try:
            await writable.wait()
        finally:
            loop.remove_writer(number)

    def _read(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._let_go()
            self._restarting = asyncio.create_task(self._restart(), name="restart the proxy")
            return
        with contextlib.suppress(msgspec.DecodeError):  # it reads what cells send, and is believed as little
            self._take(read_report(data))

    def _take(self, report: Report) -> None:
        if not isinstance(report, Closed):
            _log.warning("connection refused", cell=report.cell, wanted=report.wanted, reason=report.reason)
        elif closed := self._closing.get(report.cell):
            closed.set()

    async def _restart(self) -> None:
        """Not at once: one that dies at its start is not started in a loop."""
        await asyncio.sleep(_RESTART_SECONDS)
        _log.warning("the proxy had died and is started again", cells=len(self._open))
        async with self._turns:
            if self._control is None and self._open:
                await self._start()

    def _let_go(self) -> None:
        if self._control is None:
            return
        asyncio.get_running_loop().remove_reader(self._control.fileno())
        self._control.close()
        self._control = None
        for closed in self._closing.values():
            closed.set()
