"""Settings: what sessions reach of the network, and where packages come from."""

from __future__ import annotations

from dataclasses import dataclass

from cellblock.setting_groups.entry import Group


@dataclass(frozen=True, kw_only=True)
class Network(Group):
    """Network and packages"""
