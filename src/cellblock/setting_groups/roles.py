"""Settings: execution roles, storage, certificates and mounts."""

from __future__ import annotations

from dataclasses import dataclass

from cellblock.setting_groups.entry import Group


@dataclass(frozen=True, kw_only=True)
class Roles(Group):
    """Roles, storage and certificates"""
