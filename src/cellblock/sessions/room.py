"""How much a server takes: sessions, and calls of one session at once."""

from __future__ import annotations

from dataclasses import dataclass

from cellblock.errors import HostIsFull, NodeClosed


@dataclass(slots=True, kw_only=True)
class Room:
    """The bounds, and whether new sessions are taken at all; a server of its own has no bound on its sessions beside its memory."""

    calls_at_once: int
    sessions: int | None = None
    is_open: bool = True

    def admit(self, live: int, wanted_as: str) -> None:
        """Let one session more in. `wanted_as` is the same when a client asks again for the same one. Raises what SDKs try again."""
        del wanted_as
        if not self.is_open:
            raise NodeClosed("this node is drained and takes no new sessions; try again")
        if self.sessions is not None and live >= self.sessions:
            raise HostIsFull(f"this node has {live} sessions and takes {self.sessions} (CELLBLOCK_NODE_SESSIONS)")
