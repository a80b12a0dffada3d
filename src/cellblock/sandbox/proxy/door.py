"""The proxy of one session: accepts on the listener that lies in its cell, and passes bytes between both sides."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from cellblock.sandbox.proxy.handshake import HEAD_BYTES, NotUnderstood, Wanted, read_wanted
from cellblock.sandbox.proxy.reach import Reach, Refused

CONNECTIONS = 64  # of a session at a time; others wait in its listener's queue
REFUSALS_TOLD = 100  # of one session: what it is refused must not fill the log
_HANDSHAKE_SECONDS = 20.0
_CONNECT_SECONDS = 15.0
_PIECE_BYTES = 64 * 1024
_LOST = (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, NotUnderstood)


class Door:
    """Owns the listener and tells `on_refusal` what was wanted, and why not, a bounded number of times. Close it."""

    def __init__(self, listener: socket.socket, reach: Reach, on_refusal: Callable[[str, str], None]) -> None:
        self._listener = listener
        self._reach = reach
        self._on_refusal = on_refusal
        self._refusals = 0
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: set[str] = set()
        listener.setblocking(False)
        self._start(self._accept())

    async def close(self) -> None:
        """End every connection: each of them would keep the cell's network namespace."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._listener.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        kind = type(error).__name__  # without its text, which a session may have chosen
        if error is not None and kind not in self._told:
            self._told.add(kind)
            sys.stderr.write(f"proxy: {kind}\n")

    async def _accept(self) -> None:
        while True:
            await self._places.acquire()
            accepted, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            self._start(self._serve(accepted))

    async def _serve(self, accepted: socket.socket) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=accepted, limit=HEAD_BYTES)
            with contextlib.suppress(*_LOST):
                await self._pass_on(reader, writer)
            await _closed(writer)
        finally:
            self._places.release()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HANDSHAKE_SECONDS):
            wanted = await read_wanted(reader, writer)
        try:
            there_reader, there_writer = await self._connect(wanted)
        except Refused as error:
            self._tell(f"{wanted.host}:{wanted.port}", str(error))
            writer.write(wanted.refusal(str(error)))
            return
        except OSError as error:
            writer.write(wanted.failure(f"{wanted.host}:{wanted.port} does not answer: {error}"))
            return
        try:
            writer.write(wanted.done)
            there_writer.write(wanted.first)
            await _both(_copy(reader, there_writer), _copy(there_reader, writer))
        finally:
            await _closed(there_writer)

    def _tell(self, wanted: str, reason: str) -> None:
        self._refusals += 1
        if self._refusals < REFUSALS_TOLD:
            self._on_refusal(wanted, reason)
        elif self._refusals == REFUSALS_TOLD:
            self._on_refusal("", "and more, which are not told")

    async def _connect(self, wanted: Wanted) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To an address that was checked; nothing is resolved again. Raises Refused and OSError."""
        last: OSError = OSError("no address")
        for address in await self._reach.addresses(wanted.host, wanted.port):
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    return await asyncio.open_connection(address, wanted.port, limit=HEAD_BYTES)
            except OSError as error:
                last = error
        raise last


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the end of what comes, which is passed on as an end."""
    while piece := await reader.read(_PIECE_BYTES):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()


async def _both(*directions: Coroutine[Any, Any, None]) -> None:
    """Until both have ended; when one breaks the other has no use."""
    try:
        async with asyncio.TaskGroup() as group:
            for direction in directions:
                group.create_task(direction)
    except* _LOST:
        pass


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(*_LOST):
        await writer.wait_closed()
