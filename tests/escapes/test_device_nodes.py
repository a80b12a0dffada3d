"""A device node made in the cell would be the host's disk or its memory, whatever the file system says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cells import BenchCell, on_host

MAKE = """
import stat
place = tempfile.mkdtemp()
print(attempt(os.mknod, place + "/disk", 0o600 | stat.S_IFBLK, os.makedev(*{numbers})))
"""
DEVICES = """
import stat
modes = {name: os.lstat("/dev/" + name).st_mode for name in os.listdir("/dev")}
print(*sorted(name for name, mode in modes.items() if stat.S_ISCHR(mode) or stat.S_ISBLK(mode)))
"""


@pytest.mark.root
def test_a_node_of_the_hosts_disk_cannot_be_made(cell: BenchCell, privileged: BenchCell) -> None:
    root = os.stat(Path("/")).st_dev
    probe = MAKE.format(numbers=(os.major(root), os.minor(root)))
    assert on_host(probe) == "done"
    assert cell.probe(probe) == "EPERM"
    assert privileged.probe(probe) == "EPERM"  # capabilities of a user namespace never reach devices


def test_the_devices_are_the_harmless_ones(cell: BenchCell) -> None:
    assert cell.probe(DEVICES) == "full null random tty urandom zero"
