"""No library of a session meets a system call that the filter denies and it needs, however many cells are at work."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellblock.model.calls import RunCode
from cells import LIMITS, MIB, Bench, BenchCell, text

CELLS = 8
SECONDS = 100
PROGRAMS = {path.stem: path.read_text() for path in sorted((Path(__file__).parent / "programs").glob("*.py"))}
REFUSALS = ("Operation not permitted", "EPERM", "PermissionError", "Function not implemented", "ENOSYS")


def code(program: str) -> RunCode:
    return RunCode(code=program, language="python", runtime="python", clear_context=False, timeout_seconds=SECONDS, output_bytes=MIB)


def in_all(cells: list[BenchCell], program: str) -> list[str]:
    """What the program prints in each cell, which must all end well."""
    runs = [cell.begin(code(program)) for cell in cells]
    done = [run.result(SECONDS + 20) for run in runs]
    for run in done:
        told = run.stdout.decode(errors="replace") + run.stderr.decode(errors="replace") + run.note
        assert not [word for word in REFUSALS if word in told], told
        assert (run.outcome, run.exit_code) == ("done", 0), told
    return [text(run) for run in done]


def test_a_refused_call_would_be_seen(bench: Bench) -> None:
    with bench.cell() as cell, pytest.raises(AssertionError):
        in_all([cell], "import os; os.chroot('/')")


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_library_works_in_eight_cells_at_once(bench: Bench, name: str) -> None:
    with bench.cell(process_count=LIMITS.process_count) as first:
        others = [bench.open() for _ in range(CELLS - 1)]
        try:
            told = in_all([first, *others], PROGRAMS[name])
        finally:
            for other in others:
                other.close()
    assert [line.splitlines()[-1:] for line in told] == [["fine"]] * CELLS
