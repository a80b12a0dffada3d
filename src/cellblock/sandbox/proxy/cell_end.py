"""How one cell comes to its proxy: the port on its loopback, the variables that name it, and the listener that it hands out."""

from __future__ import annotations

import asyncio
import socket

from cellblock.errors import HostNotReady
from cellblock.sandbox.proxy.orders import Open
from cellblock.sandbox.proxy.reach import ReachMessage
from cellblock.sandbox.proxy.server_end import ProxyProcess

PORT = 701  # below 1024: no program of the cell can have taken it
_URL = f"http://127.0.0.1:{PORT}"
_NAMES = ("http_proxy", "https_proxy", "all_proxy")  # all_proxy too is HTTP: libraries refuse SOCKS when an extra package is missing
_LOCAL = "localhost,127.0.0.1,::1"
VARIABLES = {
    **dict.fromkeys(_NAMES, _URL),
    **dict.fromkeys((name.upper() for name in _NAMES), _URL),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), _LOCAL),
    "NODE_USE_ENV_PROXY": "1",  # Node's fetch looks at the others only then
}
_READY_SECONDS = 20


class CellProxy:
    """The proxy of one cell. Its owner closes it."""

    def __init__(self, process: ProxyProcess, channel: socket.socket, reach: ReachMessage, name: str) -> None:
        self._process = process
        self._channel = channel
        self._reach = reach
        self._name = name

    async def wait_ready(self) -> None:
        """Until connections are accepted. Raises HostNotReady."""
        loop = asyncio.get_running_loop()
        self._channel.setblocking(False)
        arrived = asyncio.Event()
        loop.add_reader(self._channel.fileno(), arrived.set)
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await arrived.wait()
        except TimeoutError as error:
            raise HostNotReady(f"the cell did not hand out its listener within {_READY_SECONDS} s") from error
        finally:
            loop.remove_reader(self._channel.fileno())
        _, descriptors, _, _ = socket.recv_fds(self._channel, 64, 1)
        if not descriptors:
            raise HostNotReady("the cell ended before it had its network")
        await self._process.open(Open(cell=self._name, reach=self._reach), socket.socket(fileno=descriptors[0]))

    async def close(self) -> None:
        """End every connection."""
        self._channel.close()
        await self._process.forget(self._name)
