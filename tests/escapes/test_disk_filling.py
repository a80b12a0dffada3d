"""Every writable place is memory of the host: without a bound one session would take it all, or all its inodes."""

from __future__ import annotations

import pytest

from cells import MIB, Bench, BenchCell, Weakened

FILL = """
written = 0
try:
    with open("{place}/big", "wb", buffering=0) as file:
        while written < 24:
            file.write(bytes(1 << 20))
            written += 1
except OSError as error:
    print(errno.errorcode[error.errno], end=" ")
print(written)
"""
PLACES = ("/workspace", "/tmp", "/dev/shm", "/home/cell", "/opt/cellblock/runtime")
MANY = """
for number in range(3000):
    if attempt(os.mkdir, f"{place}/{{number}}") != "done":
        break
print(number + 1)
"""


@pytest.mark.parametrize("place", PLACES)
def test_bytes_are_bounded(strong: Bench, cell: BenchCell, place: str) -> None:
    with strong.cell(workspace_bytes=8 * MIB, tmp_bytes=8 * MIB) as tight:
        assert cell.probe(FILL.format(place=place)) == "24"
        error, written = tight.probe(FILL.format(place=place)).split()
        assert error == "ENOSPC"
        assert int(written) <= 8


@pytest.mark.parametrize("place", PLACES)
def test_inodes_are_bounded(cell: BenchCell, weakened: Weakened, place: str) -> None:
    with weakened(inodes=1000).cell() as tight:
        assert cell.probe(MANY.format(place=place)) == "3000"
        assert int(tight.probe(MANY.format(place=place))) <= 1000


def test_a_full_workspace_can_be_emptied(strong: Bench) -> None:
    with strong.cell(workspace_bytes=8 * MIB) as tight:
        tight.probe(FILL.format(place="/workspace"))
        assert tight.shell("rm /workspace/big && echo more > /workspace/file && cat /workspace/file") == "more"
