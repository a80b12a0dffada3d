"""Gives a cell the network that was granted to it: what the cell is told, and what runs beside it."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from cellblock.model.network_grants import NetworkGrant
from cellblock.sandbox.closed_ranges import RangeRule, own_addresses, range_rules
from cellblock.sandbox.network_stacks import NAME_SERVER, Stack, stack_for
from cellblock.sandbox.proxy.cell_end import PORT, VARIABLES, CellProxy
from cellblock.sandbox.proxy.reach import Place, ReachMessage, Rule
from cellblock.sandbox.proxy.server_end import ProxyProcess
from cellblock.sandbox.user_network import Joined, StackPlan, UserNetwork
from cellblock.settings.table import Settings
from cellblock_cell.packet_filter import PacketRule

_INSTALLERS = {"/etc/pip.conf": "pip.conf", "/etc/uv/uv.toml": "uv.toml", "/etc/npmrc": "npmrc"}
_RETRIES = {"UV_HTTP_RETRIES": "3"}
_NAME_SERVER_RULES = tuple(
    PacketRule(network=f"{NAME_SERVER}/32", is_open=True, protocol=protocol, ports=(53, 53)) for protocol in ("udp", "tcp")
)
_VERSION_6 = PacketRule(network="::/0", is_open=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """What one cell is told, and what serves it: a stack, or a proxy, whose listener comes over `channel`, or nothing."""

    stack: Stack | None = None
    reach: ReachMessage | None = None
    channel: tuple[socket.socket, socket.socket] | None = None
    rules: tuple[PacketRule, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptors(self) -> list[tuple[str, int]]:
        """What the cell inherits for it."""
        return [("proxy", self.channel[1].fileno())] if self.channel else []

    def message(self) -> dict[str, object]:
        """As `cellblock_cell.network` reads it."""
        rules = [dataclasses.asdict(rule) for rule in self.rules]
        ports = [PORT] if self.reach else []
        return {"rules": rules, "files": {**self.files}, "environment": {**self.environment}, "ports": ports}


class Attachment(Protocol):
    """What runs beside one cell for its network."""

    async def wait_ready(self) -> None:
        """Until the cell can use it. Raises HostNotReady."""

    async def close(self) -> None:
        """End it."""


class NoAttachment:
    """Of a cell with loopback alone."""

    async def wait_ready(self) -> None:
        """It is."""

    async def close(self) -> None:
        """Nothing to end."""


class Networks:
    """Plans and starts the networks of a node's cells; each attachment belongs to who asked for it. Close it."""

    def __init__(self, settings: Settings, stack: StackPlan) -> None:
        self._settings = settings
        self._stack = stack
        self._proxy = ProxyProcess(stack.owner or 0)

    @property
    def proxy_pid(self) -> int | None:
        """Of the proxy's process, while there is one."""
        return self._proxy.pid

    async def close(self) -> None:
        """End what all cells shared."""
        await self._proxy.close()

    @contextlib.contextmanager
    def planned(self, grant: NetworkGrant) -> Iterator[NetworkPlan]:
        """What a cell with this grant is told; the plan is good until it is attached."""
        way = self._way(grant)
        if isinstance(way, Stack):
            yield self._stack_plan(way)
        elif way == "proxy":
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ours, theirs:
                yield self._proxy_plan(grant, (ours, theirs))
        else:
            yield NetworkPlan()

    async def attach(self, plan: NetworkPlan, cell: Joined) -> Attachment:
        """Start what the plan needs beside the cell. Raises HostNotReady."""
        if plan.stack is not None:
            return await UserNetwork.start(self._stack, cell, plan.stack)
        if plan.reach is not None and plan.channel is not None:
            return CellProxy(self._proxy, plan.channel[0].dup(), plan.reach, cell.name)
        return NoAttachment()

    def _way(self, grant: NetworkGrant) -> Stack | Literal["proxy", "none"]:
        wanted = self._settings.user_network
        if grant.mode == "SANDBOX" or wanted == "none":
            return "none"
        if grant.mode == "VPC" or wanted == "proxy":
            return "proxy"
        return stack_for(wanted) or "proxy"

    def _stack_plan(self, stack: Stack) -> NetworkPlan:
        rules = [_packet_rule(rule) for rule in self._ranges() if rule.network.version == 4]
        return NetworkPlan(
            stack=stack,
            rules=(*_NAME_SERVER_RULES, *rules, _VERSION_6),
            files={"/etc/resolv.conf": f"nameserver {NAME_SERVER}\n", **self._installer_files()},
            environment=_RETRIES,
        )

    def _proxy_plan(self, grant: NetworkGrant, channel: tuple[socket.socket, socket.socket]) -> NetworkPlan:
        reach = ReachMessage(
            rules=tuple(Rule(str(rule.network), rule.is_open) for rule in self._ranges()),
            everything=grant.mode == "PUBLIC",
            domains=tuple(Place(domain.name, domain.ports) for domain in grant.domains),
            networks=tuple(Place(str(allowed.network), allowed.ports) for allowed in grant.networks),
        )
        return NetworkPlan(reach=reach, channel=channel, files=self._installer_files(), environment={**_RETRIES, **VARIABLES})

    def _ranges(self) -> Sequence[RangeRule]:
        settings = self._settings
        return range_rules(closed=settings.network_closed_ranges, opened=settings.network_open_ranges, own=own_addresses())

    def _installer_files(self) -> dict[str, str]:
        """The operator's, else empty ones, in place of those that say that there is no network."""
        place = self._settings.installer_dir
        found = {inside: Path(place, name) for inside, name in _INSTALLERS.items()} if place else {}
        return {inside: found[inside].read_text() if inside in found and found[inside].exists() else "" for inside in _INSTALLERS}


def _packet_rule(rule: RangeRule) -> PacketRule:
    return PacketRule(network=str(rule.network), is_open=rule.is_open)
