"""The proxy's process: takes orders from the server on an inherited socket and ends when that closes.

Usage: python -m cellblock.sandbox.proxy.process OWNER DESCRIPTOR   (as root it becomes the id OWNER, which has nothing on this machine)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from cellblock.machine.helper_process import MESSAGE_BYTES
from cellblock.sandbox.proxy.door import Door
from cellblock.sandbox.proxy.orders import Closed, Open, Refusal, encode, read_order, shown
from cellblock.sandbox.proxy.reach import Reach
from cellblock_cell import linux

_RESOLVERS = 64  # threads that wait for name servers, of all sessions


class Proxy:
    """The doors of all cells."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._doors: dict[str, Door] = {}
        self._closings: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()

    async def serve(self) -> None:
        """Until the server closes its end."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._control, self._read)
        await self._ended.wait()
        loop.remove_reader(self._control)
        await asyncio.gather(*(door.close() for door in self._doors.values()), return_exceptions=True)

    def _read(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 1)
        except BlockingIOError:
            return
        if not data:
            self._ended.set()
            return
        order = read_order(data)
        if isinstance(order, Open):
            told = partial(self._refused, order.cell)
            self._doors[order.cell] = Door(socket.socket(fileno=descriptors[0]), Reach.from_message(order.reach), told)
        else:
            closing = asyncio.create_task(self._close(order.cell))
            self._closings.add(closing)
            closing.add_done_callback(self._closings.discard)

    def _refused(self, cell: str, wanted: str, reason: str) -> None:
        """Never waits: a server that is busy has enough to read."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            self._control.send(encode(Refusal(cell=cell, wanted=shown(wanted), reason=shown(reason))))

    async def _close(self, cell: str) -> None:
        if door := self._doors.pop(cell, None):
            await door.close()
        await asyncio.get_running_loop().sock_sendall(self._control, encode(Closed(cell=cell)))


async def _serve(control: socket.socket) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_RESOLVERS))
    await Proxy(control).serve()


def main() -> int:
    """Run by the server."""
    control = socket.socket(fileno=int(sys.argv[-1]))
    control.setblocking(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the server's, which then closes the socket
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    socket.getaddrinfo("localhost", 0)  # loads what resolving needs, while this process may still read its own libraries
    if os.geteuid() == 0:
        owner = int(sys.argv[-2])
        os.setgroups([])
        os.setresgid(owner, owner, owner)
        os.setresuid(owner, owner, owner)
    linux.no_new_privileges()
    asyncio.run(_serve(control))
    return 0


if __name__ == "__main__":
    sys.exit(main())
