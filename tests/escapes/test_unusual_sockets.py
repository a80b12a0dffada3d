"""Rarely used socket families are where holes in the kernel were found; raw and vsock ones reach past the network."""

from __future__ import annotations

import pytest

from cells import BenchCell

OPEN = "print(attempt(socket.socket, {family}, {kind}, {protocol}))"
ABSENT = ("EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT")  # this kernel has no such family
ALG, KEY, RDS, TIPC, KCM, SMC = 38, 15, 21, 30, 41, 43
VSOCK, PACKET, NETLINK = 40, 17, 16
RAW, DATAGRAM, STREAM, SEQUENTIAL = 3, 2, 1, 5


@pytest.mark.parametrize(
    ("family", "kind"), [(ALG, SEQUENTIAL), (KEY, RAW), (RDS, SEQUENTIAL), (TIPC, STREAM), (KCM, DATAGRAM), (SMC, STREAM), (VSOCK, STREAM)]
)
def test_unusual_families_are_refused(cell: BenchCell, privileged: BenchCell, family: int, kind: int) -> None:
    probe = OPEN.format(family=family, kind=kind, protocol=0)
    assert privileged.probe(probe) in ("done", *ABSENT)
    assert cell.probe(probe) == "EPERM"


def test_the_virtual_machines_host_cannot_be_reached(cell: BenchCell, unfiltered: BenchCell) -> None:
    probe = OPEN.format(family=VSOCK, kind=STREAM, protocol=0)
    if unfiltered.probe(probe) in ABSENT:
        pytest.skip("needs a kernel with sockets to a virtual machine's host (CONFIG_VSOCKETS)")
    assert unfiltered.probe(probe) == "done"
    assert cell.probe(probe) == "EPERM"


@pytest.mark.parametrize("probe", [OPEN.format(family=PACKET, kind=RAW, protocol=0), OPEN.format(family=2, kind=RAW, protocol=1)])
def test_raw_packets_cannot_be_made(cell: BenchCell, privileged: BenchCell, probe: str) -> None:
    assert privileged.probe(probe) == "done"
    assert cell.probe(probe) == "EPERM"


@pytest.mark.parametrize("protocol", [12, 15], ids=["netfilter", "uevents"])
def test_netlink_is_for_routes_only(cell: BenchCell, unfiltered: BenchCell, protocol: int) -> None:
    assert unfiltered.probe(OPEN.format(family=NETLINK, kind=RAW, protocol=protocol)) == "done"
    assert cell.probe(OPEN.format(family=NETLINK, kind=RAW, protocol=protocol)) == "EPERM"


def test_ordinary_sockets_can_be_made(cell: BenchCell) -> None:
    for family, kind, protocol in ((1, STREAM, 0), (2, STREAM, 0), (10, DATAGRAM, 0), (NETLINK, RAW, 0)):
        assert cell.probe(OPEN.format(family=family, kind=kind, protocol=protocol)) == "done"
