"""One real cell for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cellblock.runtime.builds import Runtime
from cells import Bench, BenchCell, bench_settings


@pytest.fixture(scope="module")
def bench(built_runtime: Runtime) -> Iterator[Bench]:
    """A node."""
    bench = Bench(bench_settings(), built_runtime)
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def cell(bench: Bench) -> BenchCell:
    """A cell that the module's tests share; the bench closes it."""
    return bench.open()
