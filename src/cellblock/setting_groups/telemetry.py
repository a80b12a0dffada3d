"""Settings: logs, metrics and traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cellblock.setting_groups.entry import Group, setting


@dataclass(frozen=True, kw_only=True)
class Telemetry(Group):
    """Telemetry"""

    log_level: Literal["debug", "info", "warning", "error"] = setting("info", "least level of a log line")
