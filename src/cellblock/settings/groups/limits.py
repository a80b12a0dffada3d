"""Settings: what one session may use of the machine, and what an interpreter's tags may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cellblock.settings.groups.entry import MIB, Group, SettingsError, setting

HIGHEST_HOST_ID = 2**32 - 2  # (uid_t) -1 is no id


@dataclass(frozen=True, kw_only=True)
class Limits(Group):
    """Limits of a session"""

    memory_mb: int = setting(512, "memory of a session", unit="MB", minimum=64, maximum=4096, guide="512 MB, up to 4 GB")
    processes: int = setting(256, "processes and threads in a session", unit="processes", minimum=16, maximum=32_768)
    cpus: float = setting(1.0, "processors that a session may use, a part of one too", unit="CPUs", minimum=0.1, maximum=1024)
    max_memory_mb: int = setting(
        4096, "memory that an interpreter's tag `cellblock:memory-mb` may ask for", unit="MB", minimum=64, maximum=1_048_576
    )
    max_cpus: float = setting(4.0, "processors that the tag `cellblock:cpus` may ask for", unit="CPUs", minimum=0.1, maximum=1024)
    max_pids: int = setting(
        1024, "processes and threads that the tag `cellblock:pids` may ask for", unit="processes", minimum=16, maximum=32_768
    )
    max_disk_mb: int = setting(
        4096, "size of a workspace that the tag `cellblock:disk-mb` may ask for", unit="MB", minimum=1, maximum=1_048_576
    )
    open_files: int = setting(1024, "open files of a process in a session", unit="files", minimum=64, maximum=1_048_576)
    workspace_mb: int = setting(
        384, "size of a session's workspace; it lies in memory and counts against the session's", unit="MB", minimum=1, maximum=1_048_576
    )
    tmp_mb: int = setting(128, "size of a session's /tmp; it lies in memory too", unit="MB", minimum=1, maximum=1_048_576)
    cgroup: Literal["auto", "none"] = setting("auto", "limits by cgroups where the host has them, or by resource limits and sampling alone")
    uid_base: int = setting(
        700_000_000, "first host id that cells run under when the server is root", minimum=1000, maximum=HIGHEST_HOST_ID
    )
    uid_count: int = setting(65_536, "host ids from that one on, one for each cell", unit="ids", minimum=16, maximum=1_000_000_000)

    def check(self) -> None:
        """The host's ids end somewhere."""
        if self.uid_base + self.uid_count - 1 > HIGHEST_HOST_ID:
            raise SettingsError(f"CELLBLOCK_UID_COUNT={self.uid_count}: allowed are ids up to {HIGHEST_HOST_ID} from CELLBLOCK_UID_BASE on")

    @property
    def memory_bytes(self) -> int:
        """Memory of a session."""
        return self.memory_mb * MIB

    @property
    def workspace_bytes(self) -> int:
        """Size of a workspace."""
        return self.workspace_mb * MIB

    @property
    def tmp_bytes(self) -> int:
        """Size of a cell's /tmp."""
        return self.tmp_mb * MIB
