"""Settings: how the server listens, waits and stops."""

from __future__ import annotations

from dataclasses import dataclass

from cellblock.setting_groups.entry import Group, setting

REGION_FORM = r"[a-z]{2}(-[a-z]+)+-[0-9]+"


@dataclass(frozen=True, kw_only=True)
class Serving(Group):
    """Serving"""

    host: str = setting("127.0.0.1", "address to listen on", form=r"[0-9A-Za-z.:_-]+", form_help="an address or a host's name")
    port: int = setting(8080, "port to listen on; 0 takes a free one", minimum=0, maximum=65_535)
    region: str = setting(
        "us-east-1",
        "region that `cellblock env` gives to clients; any signed one is accepted",
        form=REGION_FORM,
        form_help="a region's name",
    )
    pool_size: int = setting(2, "cells kept ready for the next sessions; 0 switches the pool off", unit="cells", minimum=0, maximum=1000)
    max_large_bodies: int = setting(
        4, "request bodies over 1 MB that are in memory at once; others wait", unit="bodies", minimum=1, maximum=1000
    )
    drain_seconds: int = setting(10, "how long calls may still run when the server is told to stop", unit="s", minimum=0, maximum=3600)
    session_retention_days: int = setting(30, "how long an ended session can still be asked about", unit="days", minimum=1, maximum=3650)
