"""Mounting, and taking mounts away, would uncover the processes of the host and make read-only files writable."""

from __future__ import annotations

import os

import pytest

from cells import Bench, BenchCell

UNCOVER = f"libc.umount2(b'/proc', 2); print(os.path.exists('/proc/{os.getpid()}'))"
PLACE = "place = tempfile.mkdtemp().encode(); "
MOUNTS = {
    "mount": PLACE + "print(word(libc.mount(b'none', place, b'tmpfs', 0, None)))",
    "bind": PLACE + "print(word(libc.mount(b'/usr', place, None, 4096, None)))",
    "umount": "print(word(libc.umount2(b'/workspace', 2)))",
    "chroot": PLACE + "print(word(libc.chroot(place)))",
    "open_tree": "print(call(428, -100, b'/usr', 1))",
    "fsopen": "print(call(430, b'tmpfs', 0))",
}
PIVOT = PLACE + "libc.mount(b'none', place, b'tmpfs', 0, None); print(word(libc.pivot_root(place, place)))"
REMOUNT = "print(word(libc.mount(b'none', b'/usr', None, 4096 | 32, None)))"


def test_the_outer_process_files_cannot_be_uncovered(cell: BenchCell, privileged: BenchCell) -> None:
    assert privileged.probe(UNCOVER) == "True"
    assert cell.probe(UNCOVER) == "False"


@pytest.mark.parametrize("name", MOUNTS)
def test_a_cell_cannot_change_what_is_mounted(cell: BenchCell, privileged: BenchCell, name: str) -> None:
    assert privileged.probe(MOUNTS[name]) == "done"
    assert cell.probe(MOUNTS[name]) == "EPERM"


def test_without_capabilities_mounts_are_refused_when_the_filter_is_absent_too(unfiltered: BenchCell) -> None:
    assert {unfiltered.probe(probe) for probe in MOUNTS.values()} == {"EPERM"}


def test_the_root_cannot_be_exchanged(cell: BenchCell, privileged: BenchCell) -> None:
    assert privileged.probe(PIVOT) == "done"
    assert cell.probe(PIVOT) == "EPERM"


def test_read_only_files_of_the_host_stay_so_even_for_the_privileged(strong: Bench, privileged: BenchCell, cell: BenchCell) -> None:
    assert privileged.probe(REMOUNT) == "EPERM"  # locked: the mount came from a more privileged namespace
    assert cell.probe(REMOUNT) == "EPERM"
