"""One node with all barriers for the tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cellblock.runtime.builds import Runtime
from cells import Bench, bench_settings


@pytest.fixture(scope="session")
def bench(built_runtime: Runtime) -> Iterator[Bench]:
    """A node that has started."""
    made = Bench(bench_settings(), built_runtime)
    yield made
    made.close()
