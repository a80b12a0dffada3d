"""A front end whose nodes Ray starts: the launcher runs beside it."""

from __future__ import annotations

from cellblock.cluster.front_end_server import AsFrontEnd
from cellblock.cluster.launching import Launching
from cellblock.http.mcp_mount import Application
from cellblock.server import Parts


class AsRayFrontEnd(AsFrontEnd):
    """Implements the server's Shape."""

    async def enter(self, parts: Parts) -> Application:
        """See Shape."""
        entered = await super().enter(parts)
        launching = Launching(self._settings, self.demand)
        parts.ends.push_async_callback(launching.close)
        return entered
