"""What the host says of one cell's network: the rules for what leaves, the files that name it, and the ports of its proxy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cellblock_cell.packet_filter import PacketRule


@dataclass(frozen=True, slots=True, kw_only=True)
class CellNetwork:
    """Nothing at all is a network of loopback alone."""

    rules: tuple[PacketRule, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)  # by their paths, which exist in the root, with what this cell reads there
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> CellNetwork:
        """As JSON has it."""
        rules = tuple(PacketRule.from_message(rule) for rule in message["rules"])
        return cls(rules=rules, files=message["files"], environment=message["environment"], ports=tuple(message["ports"]))
