"""What a server and its cells hold of the machine, to be compared before and after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from _serving import Server, descendants, memory_bytes

CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What a server and its cells hold of the machine."""

    processes: int
    mounts: int
    cgroups: int
    files: int
    descriptors: int
    memory: int


def holdings(running: Server, pool: int) -> Holdings:
    """Counted when the pool is full and nothing is under way."""
    running.wait_for_pool(pool)
    processes = (running.pid, running.template_pid)
    return Holdings(
        processes=len(descendants(running.pid)),
        mounts=sum(len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines()) for pid in processes),
        cgroups=len(groups_of(running.pid)),
        files=sum(path.is_file() for path in running.data_dir.parent.rglob("*")),
        descriptors=sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in processes),
        memory=sum(memory_bytes(pid, "VmRSS") for pid in processes),
    )


def groups_of(pid: int) -> list[Path]:
    """The control groups that the server made, in every hierarchy."""
    return [group for own in CGROUPS.rglob(f"cellblock-{pid}-*") for group in (own, *own.iterdir()) if group.is_dir()]
