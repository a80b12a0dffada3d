"""Settings: several machines behind one database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cellblock.settings.groups.entry import Group, SettingsError, setting


@dataclass(frozen=True, kw_only=True)
class Cluster(Group):
    """Clusters"""

    cluster: Literal["none", "manual", "ray"] = setting(
        "none", "whether this server is one of many on one database, and who starts the nodes that run the sessions: the operator, or Ray"
    )
    node_name: str = setting(
        "",
        "name of this machine's node, as `cellblock nodes` shows it",
        form=r"[0-9A-Za-z._-]{0,128}",
        form_help="up to 128 letters, digits and . _ -",
        default_help="the machine's host name",
    )
    node_url: str = setting(
        "",
        "URL by which front ends reach this node",
        form=r"(https?://[0-9A-Za-z.:\[\]_-]+)?",
        form_help="http:// or https:// with a host, without a path, or nothing",
        default_help="the address that the node listens on",
    )
    node_sessions: int = setting(
        0, "sessions that this node takes at once; 0 reckons it from the machine's memory", unit="sessions", minimum=0, maximum=100_000
    )
    node_lost_seconds: float = setting(
        10.0, "how long a node may be silent before its sessions are ended", unit="s", minimum=2, maximum=3600
    )
    node_alone_seconds: float = setting(
        300.0, "how long a node keeps its sessions when it does not reach the database", unit="s", minimum=10, maximum=86_400
    )
    ray_address: str = setting(
        "",
        "address of Ray's head",
        form=r"([0-9A-Za-z.\[\]:_-]+:[0-9]{1,5})?",
        form_help="HOST:PORT or nothing",
        default_help="the Ray that runs on this machine",
    )
    spare_sessions: int = setting(
        0,
        "room for so many sessions is kept free: Ray's autoscaler is asked for machines before it is used up",
        unit="sessions",
        minimum=0,
        maximum=1_000_000,
    )
    node_idle_seconds: float = setting(
        0.0,
        "a node idle for so long is ended if the others have room, so that Ray's autoscaler takes its machine away; 0 keeps all",
        unit="s",
        minimum=0,
        maximum=86_400,
    )

    def check(self) -> None:
        """Machines share their state by a database that all reach."""
        if self.cluster != "none" and not getattr(self, "store", ""):
            raise SettingsError(f"CELLBLOCK_CLUSTER={self.cluster}: allowed is only none without CELLBLOCK_STORE=postgresql://…")
