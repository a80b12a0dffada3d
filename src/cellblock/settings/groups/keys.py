"""Settings: accounts, access keys, quotas and usage."""

from __future__ import annotations

from dataclasses import dataclass

from cellblock.settings.groups.entry import Group, setting

ACCOUNT_FORM = r"[0-9]{12}"


def _rate(default: float, what: str) -> float:
    rate: float = setting(default, f"{what} a second in an account; 0 for no limit", unit="a second", minimum=0, maximum=1_000_000)
    return rate


@dataclass(frozen=True, kw_only=True)
class Keys(Group):
    """Accounts, keys and quotas"""

    account: str = setting("000000000000", "account that the first access key belongs to", form=ACCOUNT_FORM, form_help="12 digits")
    max_sessions: int = setting(10, "live sessions of an account", unit="sessions", minimum=1, maximum=100_000, guide="10, adjustable")
    max_interpreters: int = setting(1000, "interpreters of an account", unit="interpreters", minimum=1, maximum=1_000_000)
    session_rate: float = _rate(200.0, "starts of sessions, and as many stops,")
    call_rate: float = _rate(2000.0, "calls of tools, and as many of each operation that only looks,")
    interpreter_rate: float = _rate(100.0, "interpreters made, and as many deleted,")
    rate_burst_seconds: float = setting(
        2.0, "how many seconds' worth of requests may come at one moment", unit="s", minimum=0.1, maximum=3600
    )
    usage_retention_days: int = setting(
        400, "how long the use of a session is kept; that of a call as long as the session", unit="days", minimum=1, maximum=3650
    )
    store: str = setting(
        "",
        "database of the state, as `postgresql://user@host/name`; nothing for the SQLite file in the data directory",
        form=r"(postgres(ql)?://\S+)?",
        form_help="a URL that begins with postgresql://, or nothing",
        default_help="`cellblock.db` in the data directory",
        is_secret=True,
    )
    secrets_key_file: str = setting(
        "",
        "file with the key that opens the secrets in the database; the same on every machine that uses the database",
        form=r"(/.*)?",
        form_help="an absolute path or nothing",
        default_help="`secrets.key` in the data directory",
    )
