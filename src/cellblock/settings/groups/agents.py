"""Settings: what clients of the Model Context Protocol get."""

from __future__ import annotations

from dataclasses import dataclass

from cellblock.settings.groups.entry import KIB, Group, setting

ORIGINS_FORM = r"(https?://[A-Za-z0-9.\[\]:-]+(,https?://[A-Za-z0-9.\[\]:-]+)*)?"


@dataclass(frozen=True, kw_only=True)
class Agents(Group):
    """MCP"""

    mcp_result_kb: int = setting(
        32,
        "text of one tool's result that an MCP client's model is shown; the rest is kept as a file in the workspace",
        unit="KB",
        minimum=1,
        maximum=4096,
    )
    mcp_idle_seconds: int = setting(
        1800, "how long an MCP connection over HTTP may rest before it and its session are ended", unit="s", minimum=1, maximum=86_400
    )
    mcp_origins: tuple[str, ...] = setting(
        (), "origins of web pages that may use `/mcp`; their hosts may stand in the Host header", form=ORIGINS_FORM, form_help="origins"
    )

    @property
    def mcp_result_bytes(self) -> int:
        """What a model is shown of one result."""
        return self.mcp_result_kb * KIB
