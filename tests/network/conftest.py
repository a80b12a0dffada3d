"""Nodes on a small internet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cellblock.model.network_grants import INTERNET
from cellblock.runtime.builds import Runtime
from cellblock.sandbox.network_stacks import STACKS
from cells import Bench, BenchCell, bench_settings, kept_benches, weaker_policy
from network.world import World, small_internet

Opened = Callable[..., Bench]


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """The small internet of a worker."""
    with small_internet() as made:
        yield made


@pytest.fixture(scope="session")
def node(world: World, built_runtime: Runtime) -> Iterator[Opened]:
    """Nodes on its machine; the same arguments, settings and `without`, give the same node."""

    def make(*, without: tuple[str, ...] = (), **settings: Any) -> Bench:
        return Bench(bench_settings(**settings), built_runtime, weaker_policy(built_runtime, without=without), enter=world.enter)

    with kept_benches(make) as get:
        yield get


@pytest.fixture(scope="session", params=[stack.name for stack in STACKS])
def stack(request: pytest.FixtureRequest) -> str:
    """Each user-mode network stack; leaves a test out, by name, where one cannot run."""
    name = str(request.param)
    if reason := next(stack for stack in STACKS if stack.name == name).missing():
        pytest.skip(f"needs a user-mode network: {reason}")
    return name


@pytest.fixture
def public(stack: str, node: Opened) -> Iterator[BenchCell]:
    """A cell of network mode PUBLIC."""
    with node(user_network=stack).cell(network=INTERNET) as opened:
        yield opened


@pytest.fixture
def unclosed(stack: str, node: Opened) -> Iterator[BenchCell]:
    """One whose addresses nothing closes."""
    with node(without=("close_addresses",), user_network=stack).cell(network=INTERNET) as opened:
        yield opened
