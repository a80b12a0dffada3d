"""The strong node as it is served, and weaker ones that each lack a barrier."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cellblock.runtime.builds import Runtime
from cells import Bench, BenchCell, Weakened, bench_settings, kept_benches, weaker_policy


@pytest.fixture(scope="session")
def strong(bench: Bench) -> Bench:
    """All barriers, as its name says beside those of the weakened."""
    return bench


@pytest.fixture(scope="session")
def weakened(built_runtime: Runtime) -> Iterator[Weakened]:
    """Nodes without a barrier; the same arguments give the same node."""
    with kept_benches(lambda **changes: Bench(bench_settings(), built_runtime, weaker_policy(built_runtime, **changes))) as get:
        yield get


@pytest.fixture
def unfiltered(weakened: Weakened) -> Iterator[BenchCell]:
    """A cell without the system-call filter."""
    with weakened(without=("filter_system_calls",)).cell() as opened:
        yield opened


@pytest.fixture
def privileged(weakened: Weakened) -> Iterator[BenchCell]:
    """A cell that keeps the capabilities of its user namespace, and has neither filter nor Landlock."""
    with weakened(without=("give_up_rights", "fence_files", "filter_system_calls")).cell() as opened:
        yield opened
