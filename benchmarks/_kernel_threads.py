"""What the kernel's own threads did while something was measured: reclaim, monitors and the like take their time from everybody."""

from __future__ import annotations

import os
import time
from pathlib import Path

KERNEL_THREAD = 0x00200000  # PF_KTHREAD of linux/sched.h
MOST_TOLD = 3
LEAST_SHARE = 0.01  # of a core


class KernelThreads:
    """From here on."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._before = seconds()

    def told(self) -> str:
        """Their shares of a core, the largest first."""
        lasted = time.monotonic() - self._began
        shares = {name: (now - self._before.get(name, 0.0)) / lasted for name, now in seconds().items()}
        largest = sorted(((share, name) for name, share in shares.items() if share >= LEAST_SHARE), reverse=True)[:MOST_TOLD]
        return ", ".join(f"{name} {share:.0%} of a core" for share, name in largest) or "nearly nothing"


def seconds() -> dict[str, float]:
    """Processor time by name (proc_pid_stat(5)); workers of one kind are one."""
    found: dict[str, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().partition("(")[2].rpartition(") ")
        except OSError:
            continue  # it ended
        fields = rest.split()
        if int(fields[6]) & KERNEL_THREAD:
            kind = name.partition("/")[0]
            found[kind] = found.get(kind, 0.0) + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found
