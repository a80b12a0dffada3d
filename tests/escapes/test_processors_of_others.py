"""Sessions that choose their processors could gather on one where another session is, and take its time from it."""

from __future__ import annotations

import os

import pytest

from cells import BenchCell

GATHER = "print(attempt(os.sched_setaffinity, 0, {processor}))"
THE_AGENT_TOO = "print(attempt(os.sched_setaffinity, 1, {processor}))"


@pytest.mark.parametrize("probe", [GATHER, THE_AGENT_TOO])
def test_no_cell_chooses_its_processor_or_its_agents(cell: BenchCell, unfiltered: BenchCell, probe: str) -> None:
    every = set(os.sched_getaffinity(0))
    assert unfiltered.probe(probe.format(processor=every)) == "done"
    assert cell.probe(probe.format(processor=every)) == "EPERM"
