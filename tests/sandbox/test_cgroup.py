"""Control groups of this host: what is made limits, and nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellblock.sandbox.cgroup import find_groups
from cellblock.sandbox.groups import Group, GroupLimits, Groups
from cellblock.sandbox.sampling import SampledGroups

LIMITS = GroupLimits(memory_bytes=64 * 1024 * 1024, agent_memory_bytes=512 * 1024 * 1024, process_count=8, cpus=0.5)
EAT = "data = bytearray(256 * 1024 * 1024); print(len(data))"
FORK = """
children = []
try:
    for _ in range(20):
        children.append(os.fork())
        if children[-1] == 0:
            __import__("signal").pause()
except BlockingIOError:
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)
    raise SystemExit(3)
"""


@pytest.fixture
def groups() -> Iterator[Groups]:
    found = find_groups("auto")
    if isinstance(found, SampledGroups):
        pytest.skip("needs the memory and process controllers of cgroup v1 or v2, and the right to write there")
    yield found
    found.close()


@pytest.fixture
def group(groups: Groups) -> Iterator[Group]:
    made = groups.create("test", LIMITS)
    yield made
    made.remove()


def run_in(group: Group, code: str, *, entering: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Python that joins the group and then the user's before it does anything; what it has forked ends with it."""
    members = [*group.open_members(), *(group.open_entrance() if entering else ())]
    join = f"import os\nfor member in {members}: os.write(member, b'0')\n"
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", join + code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
            pass_fds=members,
        )
    finally:
        for member in members:
            os.close(member)
    process.wait(timeout=20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    out, err = process.communicate()
    return subprocess.CompletedProcess([], process.returncode, out, err)


def directories() -> list[Path]:
    return list(Path("/sys/fs/cgroup").rglob(f"cellblock-{os.getpid()}*"))


def test_memory_beyond_the_limit_kills_and_is_counted(group: Group) -> None:
    assert run_in(group, EAT).returncode == -9
    assert group.out_of_memory_kills() == 1


def test_a_limit_that_was_reached_is_told_once(group: Group) -> None:
    assert run_in(group, "pass").returncode == 0
    assert not group.was_at_limit()
    run_in(group, EAT)
    assert (group.was_at_limit(), group.was_at_limit()) == (True, False)


def test_memory_of_an_agent_has_a_bound_of_its_own(groups: Groups) -> None:
    group = groups.create("agent", LIMITS)
    try:
        assert run_in(group, EAT, entering=False).returncode == 0
        assert group.out_of_memory_kills() == 0
    finally:
        group.remove()


def test_the_same_memory_without_the_group_is_granted() -> None:
    assert subprocess.run([sys.executable, "-c", EAT], capture_output=True, text=True, check=True).stdout == f"{256 * 1024 * 1024}\n"


def test_processes_beyond_the_limit_are_refused(group: Group) -> None:
    assert run_in(group, FORK).returncode == 3


def test_nothing_is_left_of_a_removed_group() -> None:
    before = directories()  # a node of other tests may be up in this process
    groups = find_groups("auto")
    groups.create("short", LIMITS).remove()
    groups.close()
    assert directories() == before


def test_groups_of_a_server_that_was_killed_are_swept_at_the_next_start(groups: Groups) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    stale = {path.with_name(f"cellblock-{ended.pid}-0") for path in directories()}
    for path in stale:
        (path / "left").mkdir(parents=True)
    find_groups("auto").close()
    assert not any(path.exists() for path in stale)


def test_a_host_told_to_use_none_has_groups_that_limit_nothing() -> None:
    groups = find_groups("none")
    group = groups.create("test", LIMITS)
    assert group.open_members() == group.open_entrance() == []
    assert (groups.kind, group.out_of_memory_kills()) == ("none", 0)
