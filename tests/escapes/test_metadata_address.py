"""The metadata service of a cloud hands the machine's credentials to whoever can connect to its link-local address."""

from __future__ import annotations

import pytest

from cells import BenchCell, on_host

CONNECT = "print(attempt(socket.create_connection, ('{address}', 80), 5))"
SEND = "print(attempt(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto, b'x', ('{address}', 53)))"
# a network namespace in which the address exists: SIOCSIFADDR on an alias of loopback, then up
METADATA_SERVICE = """
if libc.unshare(0x50000000) != 0:
    sys.exit("no namespaces")
control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
address = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton("169.254.169.254"))
fcntl.ioctl(control, 0x8916, struct.pack("16s16s8x", b"lo:1", address))
fcntl.ioctl(control, 0x8914, struct.pack("16sh22x", b"lo", 1))
server = socket.create_server(("169.254.169.254", 80))
"""


@pytest.mark.parametrize("address", ["169.254.169.254", "169.254.170.2", "10.0.0.1", "192.168.1.1", "8.8.8.8"])
def test_no_address_has_a_route(cell: BenchCell, address: str) -> None:
    assert cell.probe(CONNECT.format(address=address)) == "ENETUNREACH"
    assert cell.probe(SEND.format(address=address)) == "ENETUNREACH"


@pytest.mark.parametrize("address", ["fd00:ec2::254", "2001:4860:4860::8888"])
def test_no_address_of_version_6_has_a_route(cell: BenchCell, address: str) -> None:
    assert cell.probe(CONNECT.format(address=address)) in ("ENETUNREACH", "EADDRNOTAVAIL")


def test_the_probe_reaches_a_metadata_service_where_there_is_one() -> None:
    assert on_host(METADATA_SERVICE + CONNECT.format(address="169.254.169.254")) == "done"


def test_a_cell_cannot_give_itself_the_address(cell: BenchCell) -> None:
    add = METADATA_SERVICE.partition("control")[2]
    assert cell.probe(f"print(attempt(exec, {'control' + add!r}))") == "EPERM"
