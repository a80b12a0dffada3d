"""What the tools of one agent share."""

from __future__ import annotations

from dataclasses import dataclass

from cellblock_cell.channel import HostLink
from cellblock_cell.children import Children
from cellblock_cell.config import AgentConfig
from cellblock_cell.loop import Loop
from cellblock_cell.output import Abandoned


@dataclass(frozen=True, slots=True)
class Workbench:
    """The loop, the link and the processes; made and ended by the agent."""

    config: AgentConfig
    loop: Loop
    link: HostLink
    children: Children
    abandoned: Abandoned
