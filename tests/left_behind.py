"""What this process and its children hold of the machine, so that a test can say that nothing is left."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cells import children_of

from cellblock import settings


@dataclass(frozen=True)
class Held:
    """Compared before and after."""

    descriptors: tuple[str, ...]
    processes: frozenset[int]
    of_cells: frozenset[int]
    mounts: str
    groups: frozenset[str]


def held() -> Held:
    """A look at /proc and at the control groups."""
    return Held(
        descriptors=tuple(sorted(_kind(entry) for entry in Path("/proc/self/fd").iterdir())),
        processes=frozenset(children_of(os.getpid())),
        of_cells=frozenset(_processes_of_cells()),
        mounts=Path("/proc/self/mountinfo").read_text(),
        groups=frozenset(str(path) for path in Path("/sys/fs/cgroup").glob(f"**/cellblock-{os.getpid()}-*/*/")),
    )


def _kind(entry: Path) -> str:
    try:
        return os.readlink(entry).partition("[")[0]
    except OSError:  # the descriptor of this very listing
        return ""


def _processes_of_cells() -> list[int]:
    """As root, those with an id of the cells' range, whoever their parent is now."""
    known = settings.load()
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _owner(entry) - known.uid_base in range(1, 65536)]


def _owner(process: Path) -> int:
    try:
        return int(next(line.split()[1] for line in (process / "status").read_text().splitlines() if line.startswith("Uid:")))
    except OSError:
        return 0
