"""The server's end of the broker: starts its process when the first session needs it, again when it has died, and logs what it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys

import msgspec
import structlog

from cellblock.grants.broker.orders import MESSAGE_BYTES, Begin, Close, Closed, Open, Order, encode, read_report
from cellblock.settings.table import host_environment

_OPEN_SECONDS = 20.0
_CLOSE_SECONDS = 5.0
_RESTART_SECONDS = 1.0  # a broker that dies at once is not started in a loop

_log = structlog.get_logger("cellblock.broker")


class BrokerProcess:
    """One process for all sessions of a node. One owner closes it."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._control: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._turns = asyncio.Lock()  # guards _control: who starts a process or writes to it
        self._open: dict[str, tuple[Open, socket.socket]] = {}  # kept, so that another broker can take them over
        self._closing: dict[str, asyncio.Event] = {}
        self._restarting: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def open(self, order: Open, listener: socket.socket) -> None:
        """Let a session reach S3; the listener belongs to this object from here on. Raises OSError."""
        self._open[order.session_id] = (order, listener)
        async with asyncio.timeout(_OPEN_SECONDS), self._turns:
            if self._control is None:
                await self._start()
            else:
                await self._send(order, listener)

    async def forget(self, session_id: str) -> None:
        """The session is over: wait, a bounded time, until nothing of it is left in the broker."""
        _, listener = self._open.pop(session_id, (None, None))
        if listener is None:
            return
        listener.close()
        closed = self._closing[session_id] = asyncio.Event()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS), self._turns:
                if self._control is not None:
                    await self._send(Close(session_id=session_id))
            async with asyncio.timeout(_CLOSE_SECONDS):
                if self._control is not None:
                    await closed.wait()
        except (TimeoutError, OSError):
            _log.error("the broker does not let go of a session", session=session_id)
        finally:
            self._closing.pop(session_id, None)

    async def close(self) -> None:
        """End the process."""
        for _, listener in self._open.values():
            listener.close()
        self._open.clear()
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.gather(self._restarting, return_exceptions=True)
        self._let_go()
        await self._end_process()

    async def _start(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-m", "cellblock.grants.broker.process", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=host_environment(),  # where profiles lie, and by what the service's own credentials are found
                cwd="/",
                start_new_session=True,
            )
        asyncio.get_running_loop().add_reader(self._control, self._read)
        await self._send(self._begin)
        for order, listener in list(self._open.values()):
            await self._send(order, listener)

    async def _send(self, order: Order, *listeners: socket.socket) -> None:
        while self._control is not None:
            try:
                socket.send_fds(self._control, [encode(order)], [listener.fileno() for listener in listeners])
            except BlockingIOError:
                await _writable(self._control)
            else:
                return

    def _read(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        with contextlib.suppress(msgspec.DecodeError):  # it reads what cells send, and is believed as little
            report = read_report(data)
            if isinstance(report, Closed):
                self._closed(report.session_id)
            else:
                _log.warning("s3 refused", session=report.session_id, request=report.request, reason=report.reason)

    def _closed(self, session_id: str) -> None:
        if event := self._closing.get(session_id):
            event.set()

    def _lost(self) -> None:
        """It died. Sessions wait at their listeners for the next one, which asks them to sign with other credentials."""
        _log.error("the broker died", sessions=len(self._open))
        self._let_go()
        self._restarting = asyncio.create_task(self._restart(), name="restart the broker")

    async def _restart(self) -> None:
        await self._end_process()
        await asyncio.sleep(_RESTART_SECONDS)
        async with self._turns:
            if self._control is None and self._open:
                await self._start()

    def _let_go(self) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self._control = None
        for session_id in list(self._closing):
            self._closed(session_id)

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _writable(control: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(control, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(control)
