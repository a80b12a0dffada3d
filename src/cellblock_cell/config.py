"""What an agent is told about its cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cellblock_cell.entrance import NO_ENTRANCE, Entrance
from cellblock_cell.likeness import NO_LIKENESSES, Likenesses
from cellblock_cell.pages import OwnMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """Fixed for the life of a cell."""

    workspace: str  # absolute; commands and kernels start in it, file tools cannot leave it
    runtime: str = "/opt/cellblock/runtime"  # where Node, Deno and what their kernels need are found
    environment: Mapping[str, str]  # of commands, tasks and kernels, whole
    shell: str = "/bin/bash"
    entrance: Entrance = NO_ENTRANCE
    likenesses: Likenesses = NO_LIKENESSES
    memory: OwnMemory | None = None  # the agent's
