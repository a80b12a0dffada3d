"""Output without end, or without a newline, would fill the memory of the host, which has to hold a call's output."""

from __future__ import annotations

import pytest

from cells import MIB, BenchCell

ERRORS_BYTES = 64 * 1024  # that the agent keeps of stderr beyond the limit
FLOODS = {
    "lines": "yes | head --bytes 40000000",
    "no newline": "head --bytes 40000000 /dev/zero",
    "errors": "yes | head --bytes 40000000 >&2",
}


@pytest.mark.parametrize("command", FLOODS.values(), ids=FLOODS)
def test_output_of_a_command_is_bounded(cell: BenchCell, command: str) -> None:
    whole = cell.command(command, output_bytes=50 * MIB)
    assert (len(whole.stdout) + len(whole.stderr), whole.dropped_bytes) == (40_000_000, 0)
    bounded = cell.command(command, output_bytes=MIB)
    kept = len(bounded.stdout) + len(bounded.stderr)
    assert kept <= MIB + ERRORS_BYTES
    assert kept + bounded.dropped_bytes == 40_000_000


@pytest.mark.parametrize("source", ["/dev/zero", "<(yes)"], ids=["no newline", "lines"])
def test_a_gigabyte_leaves_no_more_than_was_asked_for(cell: BenchCell, source: str) -> None:
    run = cell.command(f"head --bytes 1G {source}", timeout_seconds=60, output_bytes=MIB)
    assert (run.outcome, run.exit_code) == ("done", 0)
    assert len(run.stdout) == MIB
    assert len(run.stdout) + run.dropped_bytes == 1 << 30


def test_output_of_code_is_bounded(cell: BenchCell) -> None:
    code = "import sys\nfor _ in range(40): _ = sys.stdout.write('x' * 1_000_000)"
    assert len(cell.run(code, output_bytes=50 * MIB).stdout) == 40_000_000
    bounded = cell.run(code, output_bytes=MIB)
    assert len(bounded.stdout) <= MIB
    assert len(bounded.stdout) + bounded.dropped_bytes == 40_000_000


def test_output_without_end_ends_with_the_calls_time(cell: BenchCell) -> None:
    run = cell.command("yes", timeout_seconds=1, output_bytes=MIB)
    assert run.outcome == "timeout"
    assert len(run.stdout) <= MIB
    assert cell.shell("echo alive") == "alive"
