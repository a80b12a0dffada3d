"""Settings: how long sessions and calls last, and how much one call may bring and take."""

from __future__ import annotations

from dataclasses import dataclass

from cellblock.settings.groups.entry import KIB, MIB, Group, SettingsError, setting


@dataclass(frozen=True, kw_only=True)
class Calls(Group):
    """Lifetimes and sizes"""

    session_timeout_seconds: int = setting(
        900, "lifetime of a session that does not ask for one", unit="s", minimum=1, maximum=28_800, guide="900 s"
    )
    max_session_timeout_seconds: int = setting(
        28_800, "longest lifetime that a session may ask for", unit="s", minimum=1, maximum=28_800, guide="8 hours"
    )
    call_timeout_seconds: int = setting(300, "longest time of a call", unit="s", minimum=1, maximum=28_800, guide="300 s")
    max_calls_per_session: int = setting(10, "calls that may be under way in a session", unit="calls", minimum=1, maximum=1000)
    code_kb: int = setting(100, "size of the code of a call", unit="KB", minimum=1, maximum=102_400, guide="100 KB")
    output_mb: int = setting(
        10, "output of a call, stdout and stderr together; what is beyond is dropped", unit="MB", minimum=1, maximum=10, guide="10 MB"
    )
    read_mb: int = setting(16, "files that one readFiles returns in all", unit="MB", minimum=1, maximum=16)
    inline_file_mb: int = setting(100, "files that one writeFiles takes in all", unit="MB", minimum=1, maximum=1024, guide="100 MB")

    def check(self) -> None:
        """The default lifetime is an allowed one."""
        if self.session_timeout_seconds > self.max_session_timeout_seconds:
            raise SettingsError(
                f"CELLBLOCK_SESSION_TIMEOUT_SECONDS={self.session_timeout_seconds}: allowed is at most"
                f" CELLBLOCK_MAX_SESSION_TIMEOUT_SECONDS, which is {self.max_session_timeout_seconds}"
            )

    @property
    def code_bytes(self) -> int:
        """Size of a call's code in UTF-8."""
        return self.code_kb * KIB

    @property
    def output_bytes(self) -> int:
        """Output of a call."""
        return self.output_mb * MIB

    @property
    def read_bytes(self) -> int:
        """What one readFiles returns."""
        return self.read_mb * MIB

    @property
    def inline_file_bytes(self) -> int:
        """What one writeFiles takes."""
        return self.inline_file_mb * MIB
