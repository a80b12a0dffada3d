"""A process beside the server that serves cells at their listeners: started when the first needs it, and again when it has died."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

MESSAGE_BYTES = 64 * 1024
_OPEN_SECONDS = 20.0
_CLOSE_SECONDS = 5.0
_END_SECONDS = 5.0
_RESTART_SECONDS = 1.0  # one that dies at its start is not started in a loop

_log = structlog.get_logger("cellblock.helper")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What runs: a module of this package, which gets the descriptor of its socket as its last argument."""

    module: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str]
    greeting: bytes = b""  # the first message to each process
    is_silent: bool = False  # its standard error goes nowhere: it holds secrets, which a crash must not show


@dataclass(frozen=True, slots=True)
class _Served:
    order: bytes
    listener: socket.socket  # kept, so that another process can take it over


class HelperProcess:
    """One process for all cells of a node, told by messages on a socket pair. One owner closes it."""

    def __init__(self, program: Program, on_message: Callable[[bytes], None]) -> None:
        self._program = program
        self._on_message = on_message
        self._control: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._turns = asyncio.Lock()  # guards _control: who starts a process or writes to it
        self._served: dict[str, _Served] = {}
        self._closing: dict[str, asyncio.Event] = {}
        self._restarting: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def open(self, name: str, order: bytes, listener: socket.socket) -> None:
        """Have it serve at the listener, which belongs to this object from here on. Raises OSError, within a bounded time."""
        served = self._served[name] = _Served(order, listener)
        async with asyncio.timeout(_OPEN_SECONDS), self._turns:
            if self._control is None:
                await self._start()
            else:
                await self._send(served.order, listener)

    async def forget(self, name: str, order: bytes) -> None:
        """Tell it the order that ends its service, and wait, a bounded time, until `has_let_go`."""
        served = self._served.pop(name, None)
        if served is None:
            return
        served.listener.close()
        closed = self._closing[name] = asyncio.Event()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                async with self._turns:
                    if self._control is None:
                        return
                    await self._send(order)
                await closed.wait()
        except OSError as error:  # a time-out too
            _log.error("a helper does not let go", module=self._program.module, name=name, reason=str(error) or type(error).__name__)
        finally:
            self._closing.pop(name, None)

    def has_let_go(self, name: str) -> None:
        """It has said that nothing is left of what it served under this name."""
        if closed := self._closing.get(name):
            closed.set()

    async def close(self) -> None:
        """End the process."""
        for served in self._served.values():
            served.listener.close()
        self._served.clear()
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.gather(self._restarting, return_exceptions=True)
        self._let_go()
        await self._end_process()

    async def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            try:
                self._process = await self._run(theirs.fileno())
            except BaseException:
                ours.close()
                raise
        self._control = ours
        asyncio.get_running_loop().add_reader(ours, self._read)
        if self._program.greeting:
            await self._send(self._program.greeting)
        for served in list(self._served.values()):
            await self._send(served.order, served.listener)

    async def _run(self, descriptor: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-m", self._program.module, *self._program.arguments, str(descriptor)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL if self._program.is_silent else None,
            pass_fds=(descriptor,),
            env=self._program.environment,
            cwd="/",
            start_new_session=True,
        )

    async def _send(self, message: bytes, *listeners: socket.socket) -> None:
        """One that is lost meanwhile gets all orders again from the next process."""
        while self._control is not None:
            try:
                socket.send_fds(self._control, [message], [listener.fileno() for listener in listeners])
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
        if data:
            self._on_message(data)
        else:
            self._lost()

    def _lost(self) -> None:
        """It died. Who connects meanwhile waits at the listeners for the next one."""
        _log.error("a helper died", module=self._program.module, served=len(self._served))
        self._let_go()
        self._restarting = asyncio.create_task(self._restart(), name=f"restart {self._program.module}")

    async def _restart(self) -> None:
        await self._end_process()
        await asyncio.sleep(_RESTART_SECONDS)
        async with self._turns:
            if self._control is None and self._served:
                await self._start()

    def _let_go(self) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self._control = None
        for closed in self._closing.values():
            closed.set()

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
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
