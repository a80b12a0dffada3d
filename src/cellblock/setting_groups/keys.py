"""Settings: accounts, access keys, quotas and usage."""

from __future__ import annotations

from dataclasses import dataclass

from cellblock.setting_groups.entry import Group, setting

ACCOUNT_FORM = r"[0-9]{12}"


@dataclass(frozen=True, kw_only=True)
class Keys(Group):
    """Accounts, keys and quotas"""

    account: str = setting("000000000000", "account that the first access key belongs to", form=ACCOUNT_FORM, form_help="12 digits")
    max_sessions: int = setting(10, "live sessions of an account", unit="sessions", minimum=1, maximum=100_000, guide="10, adjustable")
    store: str = setting(
        "",
        "database of the state, as `postgresql://user@host/name`; nothing for the SQLite file in the data directory",
        form=r"(postgres(ql)?://\S+)?",
        form_help="a URL that begins with postgresql://, or nothing",
        default_help="`cellblock.db` in the data directory",
        is_secret=True,
    )
