"""One real cell for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cells import Bench, BenchCell


@pytest.fixture(scope="module")
def cell(bench: Bench) -> Iterator[BenchCell]:
    """A cell that the module's tests share."""
    with bench.cell() as opened:
        yield opened
