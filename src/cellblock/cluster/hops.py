"""The connections to all nodes: kept for the next request, bounded, and given up together when a node is gone."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

from cellblock.cluster.hop import Hop, NodeLost
from cellblock.machine.endpoint import PORTS

CONNECT_SECONDS = 2.0
IDLE_SECONDS = 60.0  # well below what a node keeps an idle connection, so that this end closes first
KEPT_IDLE = 32  # of one node
MOST_OPEN = 4096  # of one node


class NodeUnreachable(NodeLost):
    """No connection to the node: it has not seen the request."""


class NodeBusy(Exception):
    """This front end has as many requests under way at the node as it may."""


@dataclass(slots=True)
class _OfNode:
    """The connections to one node, the one that was used last at the end of the idle ones."""

    idle: dict[Hop, asyncio.TimerHandle] = field(default_factory=dict)
    used: set[Hop] = field(default_factory=set)


class Hops:
    """Connections by the node's id."""

    def __init__(self) -> None:
        self._nodes: dict[str, _OfNode] = {}

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """For nodes with certificates, which must be good for the URL's host by what this machine trusts."""
        return ssl.create_default_context()

    async def take(self, node_id: str, url: str) -> Hop:
        """A connection for one request; the caller gives it back. Raises NodeUnreachable and NodeBusy."""
        of_node = self._nodes.setdefault(node_id, _OfNode())
        while of_node.idle:
            hop, timer = of_node.idle.popitem()
            timer.cancel()
            if hop.is_reusable:
                of_node.used.add(hop)
                return hop
        if len(of_node.used) >= MOST_OPEN:
            raise NodeBusy
        return await self._connected(of_node, url)

    def give_back(self, node_id: str, hop: Hop, *, may_be_used_again: bool) -> None:
        """The request is over."""
        of_node = self._nodes.get(node_id)
        if of_node is None or hop not in of_node.used:
            hop.close()
            return
        of_node.used.discard(hop)
        if may_be_used_again and hop.is_reusable and len(of_node.idle) < KEPT_IDLE:
            of_node.idle[hop] = asyncio.get_running_loop().call_later(IDLE_SECONDS, hop.close)
        else:
            hop.close()

    def under_way(self) -> int:
        """How many requests are at nodes."""
        return sum(len(of_node.used) for of_node in self._nodes.values())

    def drop(self, node_id: str, reason: str) -> None:
        """The node is gone: requests that are there end with the reason."""
        of_node = self._nodes.pop(node_id, None)
        if of_node is None:
            return
        for timer in of_node.idle.values():
            timer.cancel()
        for hop in (*of_node.idle, *of_node.used):
            hop.close(NodeLost(reason))

    def close(self) -> None:
        """Give up all of them."""
        for node_id in list(self._nodes):
            self.drop(node_id, "the front end stops")

    async def _connected(self, of_node: _OfNode, url: str) -> Hop:
        address = urlsplit(url)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, hop = await loop.create_connection(
                    lambda: Hop(lambda closed: _forget(of_node, closed)),
                    address.hostname or "",
                    address.port or PORTS[address.scheme],
                    ssl=self._tls if address.scheme == "https" else None,
                )
        except (OSError, TimeoutError) as error:
            raise NodeUnreachable(f"no connection to {url}: {error or 'no answer'}") from error
        of_node.used.add(hop)
        return hop


def _forget(of_node: _OfNode, hop: Hop) -> None:
    of_node.used.discard(hop)
    if timer := of_node.idle.pop(hop, None):
        timer.cancel()
