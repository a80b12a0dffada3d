"""Lower limits on the agent, or on a process of another session, would starve it."""

from __future__ import annotations

from cells import BenchCell

SET = "print(attempt(resource.prlimit, 1, resource.RLIMIT_CORE, (0, 0)))"
SET_OWN = "print(attempt(resource.prlimit, 0, resource.RLIMIT_CORE, (0, 0)))"


def test_limits_of_the_first_process_cannot_be_set(cell: BenchCell, unfiltered: BenchCell) -> None:
    assert unfiltered.probe(SET) == "done"
    assert cell.probe(SET) == "EPERM"
    assert cell.probe(SET_OWN) == "done"


def test_limits_cannot_be_raised(cell: BenchCell) -> None:
    raised = "try:\n    resource.setrlimit(resource.RLIMIT_NOFILE, (9**9, 9**9))\nexcept ValueError:\n    print('refused')"
    assert cell.probe(raised) == "refused"
    assert cell.probe("print(resource.getrlimit(resource.RLIMIT_CORE))") == "(0, 0)"
