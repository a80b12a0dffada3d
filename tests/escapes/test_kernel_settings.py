"""Writing /proc/sys would let the kernel run a program of the attacker for every crash (core_pattern) or every missing module."""

from __future__ import annotations

import pytest

from cells import Bench, BenchCell, Weakened, on_host

OPEN = "print(attempt(open, {path!r}, 'r+'))"
DANGEROUS = ("core_pattern", "modprobe", "hotplug", "poweroff_cmd", "sysrq", "ns_last_pid", "usermodehelper/bset")


@pytest.mark.root
def test_the_program_that_crashes_are_given_to_cannot_be_set(cell: BenchCell) -> None:
    probe = OPEN.format(path="/proc/sys/kernel/core_pattern")
    assert on_host(probe) == "done"
    assert cell.probe(probe) in ("EROFS", "EACCES")


@pytest.mark.parametrize("name", DANGEROUS)
def test_settings_of_the_kernel_are_read_only(cell: BenchCell, name: str) -> None:
    assert cell.probe(OPEN.format(path=f"/proc/sys/kernel/{name}")) in ("EROFS", "EACCES", "ENOENT", "EPERM")


def test_settings_of_the_cells_own_network_are_read_only_too(cell: BenchCell, weakened: Weakened) -> None:
    probe = OPEN.format(path="/proc/sys/net/ipv4/ip_forward")
    with _writable(weakened).cell() as weak:
        assert weak.probe(probe) == "done"
    assert cell.probe(probe) in ("EROFS", "EACCES")


def _writable(weakened: Weakened) -> Bench:
    return weakened(without=("give_up_rights", "fence_files", "filter_system_calls"), read_only=())
