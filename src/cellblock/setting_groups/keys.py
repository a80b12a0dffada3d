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
