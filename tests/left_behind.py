"""What this process and its children hold of the machine, so that a test can say that nothing is left."""

from __future__ import annotations

import ctypes
import glob
import os
from dataclasses import dataclass
from pathlib import Path

from processes import descendants

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Held:
    """Compared before and after."""

    descriptors: tuple[str, ...]
    processes: frozenset[int]
    mounts: str
    groups: frozenset[str]


def held() -> Held:
    """A look at /proc and at the control groups. Orphans become children of this process and so are not overlooked."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return Held(
        descriptors=tuple(sorted(_kind(entry) for entry in Path("/proc/self/fd").iterdir())),
        processes=frozenset(descendants(os.getpid())),
        mounts=Path("/proc/self/mountinfo").read_text(),
        groups=frozenset(glob.glob(f"/sys/fs/cgroup/**/cellblock-{os.getpid()}-*/*/", recursive=True)),  # groups of others may go meanwhile
    )


def _kind(entry: Path) -> str:
    try:
        return os.readlink(entry).partition("[")[0]
    except OSError:  # the descriptor of this very listing
        return ""
