"""The limits of one cell's processes together, whichever means of the host hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from cellblock.model.calls import CellUsage, MemoryUse

Kind = Literal["v2", "v1", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLimits:
    """What the processes of one cell may use together; the agent's memory has a bound of its own."""

    memory_bytes: int
    agent_memory_bytes: int
    process_count: int
    cpus: float


class Group(Protocol):
    """The processes of one cell."""

    def open_members(self) -> list[int]:
        """Descriptors, for the caller to close: a process that writes 0 to each joins as the agent, with all it will start."""

    def open_entrance(self) -> list[int]:
        """At most one descriptor, for the caller to close: a process of the agent that writes 0 comes under the user's memory limit."""

    def watch(self, first_pid: int) -> None:
        """Told once: this is the cell's first process."""

    def out_of_memory_kills(self) -> int:
        """How often one of the user's processes was killed for memory: at the user's limit, or because the machine had no more."""

    def was_at_limit(self) -> bool:
        """Whether the user's memory has been at its limit since this was asked before."""

    def usage(self) -> CellUsage:
        """What its processes have used and use. Raises OSError when it is removed."""

    def cpu_seconds(self) -> float:
        """CPU time that its processes have used; cheap. Raises OSError when it is removed."""

    def memory(self) -> MemoryUse:
        """What its processes and files hold. Raises OSError when it is removed."""

    def remove(self) -> None:
        """Remove the group, which is empty by now."""


class Groups(Protocol):
    """Makes groups; one implementation for each kind of host."""

    kind: Kind

    def create(self, name: str, limits: GroupLimits) -> Group:
        """Make a group; raises HostNotReady when the host refuses."""

    async def enforce(self) -> None:
        """Hold the limits that the kernel does not hold, until cancelled; returns at once when there are none."""

    def close(self) -> None:
        """Remove what `create` needs above the groups."""


class NoGroup:
    """Of a cell that has not begun."""

    def open_members(self) -> list[int]:
        """Nothing to join."""
        return []

    def open_entrance(self) -> list[int]:
        """Nothing to join."""
        return []

    def watch(self, first_pid: int) -> None:
        """Nothing to hold."""

    def out_of_memory_kills(self) -> int:
        """None."""
        return 0

    def cpu_seconds(self) -> float:
        """None."""
        return 0.0

    def memory(self) -> MemoryUse:
        """None."""
        return MemoryUse(0, 0)

    def usage(self) -> CellUsage:
        """None."""
        return CellUsage(cpu_seconds=0.0, memory_bytes=0, process_count=0)

    def was_at_limit(self) -> bool:
        """It has none."""
        return False

    def remove(self) -> None:
        """Nothing to remove."""
