"""How many sessions this machine takes, by its memory."""

from __future__ import annotations

from pathlib import Path

from cellblock.settings.table import Settings

USABLE_SHARE = 0.8  # of the memory; the rest is the system's, the template's and the server's
USED_SHARE = 0.25  # of what a session may use is reckoned for one on an average
KIB = 1024


def sessions_capacity(settings: Settings) -> int:
    """The setting, or what the memory allows; as many cells as have host ids in any case."""
    _, total = machine_memory()
    reckoned = int(total * USABLE_SHARE / (settings.memory_bytes * USED_SHARE))
    return max(1, min(settings.node_sessions or reckoned, settings.uid_count - 1))


def machine_memory() -> tuple[int, int]:
    """Free and total bytes of the machine, or of the control group that is all of it to a container."""
    figures = dict(_figures(Path("/proc/meminfo").read_text()))
    free, total = figures["MemAvailable"], figures["MemTotal"]
    limit = _number(Path("/sys/fs/cgroup/memory.max"))
    if limit is None or limit >= total:
        return free, total
    used = _number(Path("/sys/fs/cgroup/memory.current")) or 0
    return min(free, max(0, limit - used)), limit


def _figures(text: str) -> list[tuple[str, int]]:
    return [(name, int(rest.split()[0]) * KIB) for name, _, rest in (line.partition(":") for line in text.splitlines())]


def _number(path: Path) -> int | None:
    """None where there is no such file, and for "max"."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
