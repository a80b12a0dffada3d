"""A process in the group that it is to divide, as in a scope of systemd, on a real hierarchy of version 2."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

THREADED = ("cpu", "cpuset", "perf_event", "pids")  # a group may hold processes and give these to groups below it
JOIN = "import sys; open(sys.argv[1] + '/cgroup.procs', 'w').write('0')\n"
DIVIDE = (
    JOIN
    + """
from pathlib import Path
from cellblock.sandbox.delegation import Delegation
def where():
    line = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    return line.rpartition("/")[2].rpartition("-")[2]
base, controller = Path(sys.argv[1]), sys.argv[2]
def own():
    return base / Path("/proc/self/cgroup").read_text().strip().rpartition("/")[2] if where() == "host" else base
first = Delegation(own())
try:
    first.enable([controller])
except OSError as error:
    print("refused", error.errno, where() == base.name.rpartition("-")[2], [path.name for path in base.iterdir() if path.is_dir()])
    raise SystemExit
second = Delegation(own())
second.enable([controller])
print(where(), first.base == second.base == base, (base / "cgroup.subtree_control").read_text().split())
(base / "cells").mkdir()
(base / "cells" / "cgroup.subtree_control").write_text(f"+{controller}")
first.release([controller])
print(where())
(base / "cells").rmdir()
second.release([controller])
print([path.name for path in base.iterdir() if path.is_dir()], (base / "cgroup.subtree_control").read_text().split())
"""
)
STAY = JOIN + "print('here', flush=True); sys.stdin.read()"


@dataclass(frozen=True)
class Divisible:
    """A group of its own and a controller that it has."""

    path: Path
    controller: str


@pytest.fixture
def group() -> Iterator[Divisible]:
    """Below the root of the hierarchy, which may hold processes and divide itself all the same."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    root = next((Path(line[1]) for line in lines if line[2] == "cgroup2" and os.access(line[1], os.W_OK)), None)
    names = [name for name in (root / "cgroup.controllers").read_text().split() if name not in THREADED] if root else []
    if root is None or not names:
        pytest.skip("needs a hierarchy of cgroup v2 with a controller of whole processes, and the right to write to it")
    control = root / "cgroup.subtree_control"
    was_on = names[0] in control.read_text().split()
    control.write_text(f"+{names[0]}")
    path = root / f"test-{os.getpid()}"
    path.mkdir()
    yield Divisible(path, names[0])
    path.rmdir()
    if not was_on:
        control.write_text(f"-{names[0]}")


def divided(group: Divisible) -> list[str]:
    """What a process in the group sees when it divides it."""
    done = subprocess.run(
        [sys.executable, "-c", DIVIDE, str(group.path), group.controller], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.splitlines()


def test_a_process_steps_aside_and_back_when_the_last_of_its_nodes_is_gone(group: Divisible) -> None:
    aside, between, after = divided(group)
    assert aside == f"host True ['{group.controller}']"
    assert between == "host"
    assert after == "[] []"


def test_a_group_that_others_are_in_is_not_divided_and_the_process_is_where_it_was(group: Divisible) -> None:
    with subprocess.Popen([sys.executable, "-c", STAY, str(group.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "here\n"
        assert divided(group) == ["refused 16 True []"]
        other.communicate()
