"""A server that is a front end: the API on the shared database without cells, and the router before it."""

from __future__ import annotations

from cellblock.cluster.forwarding import Forwarder
from cellblock.cluster.front_end import FrontEnd
from cellblock.cluster.hops import Hops
from cellblock.cluster.membership import Members
from cellblock.cluster.placement import Demand
from cellblock.errors import NoRoom
from cellblock.http.mcp_mount import Application
from cellblock.machine.clock import Clock
from cellblock.machine.listeners import Address
from cellblock.model.calls import NO_GRANTS, Cell, CellLimits, Grants, NodeState
from cellblock.model.resources import ClusterNode
from cellblock.observing.plain_pages import PlainPage, health, readiness
from cellblock.server import Parts
from cellblock.sessions.room import Room
from cellblock.settings.table import Settings


class NoCells:
    """Implements the protocol of a machine that runs cells, for one that runs none."""

    async def start(self) -> None:
        """See `Node.start`."""

    async def close(self) -> None:
        """See `Node.close`."""

    def state(self) -> NodeState:
        """See `Node.state`."""
        return NodeState(None, "none")

    async def open_cell(self, limits: CellLimits, grants: Grants = NO_GRANTS) -> Cell:
        """See `Node.open_cell`."""
        del limits, grants
        raise NoRoom


class NoRoomHere(Room):
    """What comes to the front end's own API found no room at any node: it is refused, and counted for who adds nodes."""

    def __init__(self, calls_at_once: int, demand: Demand, clock: Clock) -> None:
        super().__init__(calls_at_once=calls_at_once)
        self._demand = demand
        self._clock = clock

    def admit(self, live: int, wanted_as: str) -> None:
        """See `Room.admit`."""
        del live
        self._demand.refused(wanted_as, self._clock.now())
        raise NoRoom


class AsFrontEnd:
    """Implements the server's Shape."""

    has_cells = False
    node_id = None

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.node = NoCells()
        self.last_answers_seconds = settings.drain_seconds
        self._settings = settings
        self._clock = clock
        self._demand = Demand()
        self._hops = Hops()
        self._members: Members | None = None

    def demand(self) -> int:
        """How many sessions were wanted in the last seconds beyond what all nodes have room for."""
        return self._demand.figure(self._clock.now())

    def nodes(self) -> list[ClusterNode]:
        """Those that are not over."""
        return self._members.all() if self._members else []

    def room(self) -> Room:
        """See Shape."""
        return NoRoomHere(self._settings.max_calls_per_session, self._demand, self._clock)

    def pages(self) -> dict[str, PlainPage]:
        """See Shape."""
        return {"/ping": health(self._live_count), "/ready": readiness(self)}

    @property
    def trouble(self) -> str:
        """Why a new session would fail; the empty string when it would not."""
        is_open = self._members is not None and any(view.is_open for view in self._members.views())
        return "" if is_open else "no node takes sessions"

    async def enter(self, parts: Parts) -> Application:
        """See Shape."""
        lost_seconds = self._settings.node_lost_seconds
        members = Members(
            parts.store, parts.clock, lost_seconds=lost_seconds, on_gone=lambda node, reason: self._hops.drop(node.id, reason)
        )
        self._members = members
        parts.ends.callback(self._hops.close)
        parts.ends.push_async_callback(members.close)
        await members.start()
        return FrontEnd(
            parts.api,
            gate=parts.gate,
            keys=parts.keys,
            members=members,
            forwarder=Forwarder(self._hops),
            max_large_bodies=self._settings.max_large_bodies,
        )

    async def listening(self, bound: Address) -> None:
        """See Shape."""

    def _drop(self, node: ClusterNode, reason: str) -> None:
        self._hops.drop(node.id, reason)

    def _live_count(self) -> int:
        return sum(node.figures.sessions for node in self.nodes())
