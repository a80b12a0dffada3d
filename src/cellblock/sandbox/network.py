"""Gives a cell the network that was granted to it: what the cell is told, and what runs beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cellblock.network_grants import NetworkGrant
from cellblock.sandbox.closed_ranges import RangeRule, own_addresses, range_rules
from cellblock.sandbox.user_network import NAME_SERVER, Joined, StackPlan, UserNetwork, missing
from cellblock.settings import Settings
from cellblock_cell.packet_filter import PacketRule

_INSTALLERS = {"/etc/pip.conf": "pip.conf", "/etc/uv/uv.toml": "uv.toml", "/etc/npmrc": "npmrc"}
_NAME_SERVER_RULES = tuple(
    PacketRule(network=f"{NAME_SERVER}/32", is_open=True, protocol=protocol, ports=(53, 53)) for protocol in ("udp", "tcp")
)
_VERSION_6 = PacketRule(network="::/0", is_open=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """What one cell is told, and whether a stack serves it."""

    has_stack: bool = False
    rules: tuple[PacketRule, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def message(self) -> dict[str, object]:
        """As `cellblock_cell.network` reads it."""
        rules = [dataclasses.asdict(rule) for rule in self.rules]
        return {"rules": rules, "files": {**self.files}, "environment": {**self.environment}, "ports": []}


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
    """Plans and starts the networks of a node's cells; each attachment belongs to who asked for it."""

    def __init__(self, settings: Settings, stack: StackPlan) -> None:
        self._settings = settings
        self._stack = stack

    def plan(self, grant: NetworkGrant) -> NetworkPlan:
        """What a cell with this grant is told."""
        if grant.mode != "PUBLIC" or self._settings.user_network == "none" or missing():
            return NetworkPlan()
        rules = [_packet_rule(rule) for rule in self._ranges() if rule.network.version == 4]
        return NetworkPlan(
            has_stack=True,
            rules=(*_NAME_SERVER_RULES, *rules, _VERSION_6),
            files={"/etc/resolv.conf": f"nameserver {NAME_SERVER}\n", **self._installer_files()},
            environment={"UV_HTTP_RETRIES": "3"},
        )

    async def attach(self, plan: NetworkPlan, cell: Joined) -> Attachment:
        """Start what the plan needs beside the cell. Raises HostNotReady."""
        return await UserNetwork.start(self._stack, cell) if plan.has_stack else NoAttachment()

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
