"""A control group's release_agent is run by the host as root when the group becomes empty."""

from __future__ import annotations

import pytest

from cells import BenchCell, on_host

MOUNT = """
libc.unshare(0x00020000)
libc.mount(b"none", b"/", None, 16384 | 1 << 18, None)
place = tempfile.mkdtemp()
mounted = word(libc.mount(b"cgroup", place.encode(), b"cgroup2", 0, None))
print(mounted)
libc.umount2(place.encode(), 2)
os.rmdir(place)
"""
LOOK = "print(any(name == 'release_agent' for _, _, names in os.walk('/sys') for name in names), os.path.exists('/sys/fs/cgroup'))"


@pytest.mark.root
def test_control_groups_cannot_be_mounted(cell: BenchCell) -> None:
    assert on_host(MOUNT) == "done"
    assert cell.probe(MOUNT) == "EPERM"


def test_control_groups_of_the_host_are_not_to_be_seen(cell: BenchCell) -> None:
    assert cell.probe(LOOK) == "False False"
    places = set(cell.shell("cut -d: -f3 /proc/self/cgroup").split())
    assert places in ({"/"}, {"/", "/../user"}), "no name of the host's; the user's group for memory lies beside the agent's"
