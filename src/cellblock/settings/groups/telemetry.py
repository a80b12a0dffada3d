"""Settings: logs, metrics and traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cellblock.settings.groups.entry import MIB, Group, SettingsError, setting

HEADERS_FORM = r"([A-Za-z0-9-]+=[^,\s]+(,[A-Za-z0-9-]+=[^,\s]+)*)?"


@dataclass(frozen=True, kw_only=True)
class Telemetry(Group):
    """Telemetry"""

    log_level: Literal["debug", "info", "warning", "error"] = setting("info", "least level of a log line")
    log_file_mb: int = setting(
        20,
        "size of `logs/server.jsonl` and of `logs/audit.jsonl` in the data directory; four older ones of each are kept",
        unit="MB",
        minimum=1,
        maximum=10_240,
    )
    audit: Literal["off", "management", "all"] = setting(
        "management", "what the audit log holds: everything but calls of tools, or these too"
    )
    metrics: Literal["off", "loopback", "token"] = setting(
        "off", "who may read `GET /metrics`: nobody, programs of this machine, or who sends the token"
    )
    metrics_token: str = setting(
        "", "the token, sent as `Authorization: Bearer …`", form=r"([!-~]{16,256})?", form_help="16 to 256 characters", is_secret=True
    )
    otlp_endpoint: str = setting(
        "",
        "where spans are sent by OTLP over HTTP, for example `http://127.0.0.1:4318/v1/traces`; nothing is traced without it",
        form=r"(https?://[!-~]+)?",
        form_help="a URL or nothing",
    )
    otlp_headers: str = setting(
        "", "headers that are sent with them, a credential for example", form=HEADERS_FORM, form_help="`name=value,…`", is_secret=True
    )

    def check(self) -> None:
        """A token is there where one is asked for."""
        if self.metrics == "token" and not self.metrics_token:
            raise SettingsError("CELLBLOCK_METRICS=token: set CELLBLOCK_METRICS_TOKEN too")

    @property
    def log_file_bytes(self) -> int:
        """Size of a file of log lines."""
        return self.log_file_mb * MIB
