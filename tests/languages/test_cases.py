"""What code does in a session, as data: tests/cases/<language>/<name>/."""

from __future__ import annotations

import pytest

from cells import BenchCell
from languages.running import Case, Program, cases, fill, run


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: f"{case.language}-{case.directory.name}-{case.runtime}")
def test_case(cell: BenchCell, case: Case) -> None:
    fill(cell, case.files)
    for number, step in enumerate(case.steps):
        done = run(cell, Program(step.code, case.language, case.runtime), clear_context=number == 0)
        how = (done.exit_code, done.outcome, done.note)
        assert (done.stdout.decode(), done.stderr.decode(), how) == (step.stdout, step.stderr, (step.exit_code, "done", ""))


def test_there_are_cases_of_every_language() -> None:
    assert {case.language for case in cases()} == {"python", "javascript", "typescript"}
    assert len({case.directory for case in cases() if case.language != "python"}) >= 40
