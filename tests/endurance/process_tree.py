"""Who is whose child on this machine, and whether something outlived its parent."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from processes import children, is_template

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> frozenset[int]:
    """Make what outlives its parent a child of this process from here on; the children that are there already."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return frozenset(children(os.getpid()))


def template_of(server: int) -> int | None:
    """The process that a server's cells are cloned from, while it runs; the server may have others, for the network."""
    return next((child for child in children(server) if is_template(child)), None)


def agents_of(server: int) -> list[int]:
    """The first process of each cell."""
    template = template_of(server)
    return [] if template is None else children(template)


def kernels_of(server: int) -> list[int]:
    """What runs right below the agents."""
    return [kernel for agent in agents_of(server) for kernel in children(agent)]


def groups_of(server: int) -> list[Path]:
    """The control groups that a server made for its cells."""
    return [inner for own in Path("/sys/fs/cgroup").rglob(f"cellblock-{server}-*") for inner in own.iterdir() if inner.is_dir()]
