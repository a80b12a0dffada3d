"""Rights that a process keeps, or regains by a set-user-id program, would open what the mounts and ids close."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellblock.runtime.builds import Runtime
from cells import Bench, BenchCell, bench_settings, on_host, weaker_policy

CAPABILITIES = "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('Cap')))"
NEW_PRIVILEGES = "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith(('NoNewPrivs', 'Seccomp:'))))"
RUN = "print(subprocess.run(['{}', '-u'], capture_output=True, text=True, user=65534).stdout)"
SET_ID = "print(attempt(os.setresuid, {0}, {0}, {0}))"
NONE = "0000000000000000"


@pytest.fixture
def becomes_root() -> Iterator[Path]:
    """A copy of `id` that belongs to root and has the set-user-id bit, in a directory that all can enter."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        shutil.copy("/usr/bin/id", place / "id")
        (place / "id").chmod(0o4755)
        yield place / "id"


def test_no_capability_is_left(cell: BenchCell, privileged: BenchCell) -> None:
    assert privileged.probe(CAPABILITIES) != " ".join([NONE] * 5)
    assert cell.probe(CAPABILITIES) == " ".join([NONE] * 5)
    assert cell.shell("grep ^CapEff /proc/1/status") == f"CapEff:\t{NONE}"


def test_nothing_gains_privileges_and_the_filter_is_in_force(cell: BenchCell, privileged: BenchCell) -> None:
    assert privileged.probe(NEW_PRIVILEGES) == "0 0"
    assert cell.probe(NEW_PRIVILEGES) == "1 2"


@pytest.mark.root
def test_a_program_that_makes_its_user_root_does_not_do_so_in_a_cell(built_runtime: Runtime, becomes_root: Path) -> None:
    assert on_host(RUN.format(becomes_root)) == "0"
    policy = weaker_policy(built_runtime)
    bench = Bench(bench_settings(), built_runtime, dataclasses.replace(policy, binds=(*policy.binds, (str(becomes_root), "/opt/id"))))
    try:
        with bench.cell() as cell:
            assert cell.shell("stat --format %a /opt/id") == "4755"
            assert cell.shell("/opt/id -u") == "1000"
    finally:
        bench.close()


@pytest.mark.parametrize("number", [0, 999])
def test_another_user_cannot_be_taken(cell: BenchCell, privileged: BenchCell, number: int) -> None:
    if number == 999 and privileged.probe("print(open('/proc/self/uid_map').read().count('999'))") == "0":
        pytest.skip("needs root: an ordinary user's cells have one id")
    assert privileged.probe(SET_ID.format(number)) == ("EINVAL" if number == 0 else "done")  # 0 is no id of a cell's namespace
    assert cell.probe(SET_ID.format(number)) in ("EPERM", "EINVAL")
