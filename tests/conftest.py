"""What all tests share: the runtime, a node and its cells; those that need root are left out by name when an ordinary user runs them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing

import pytest

from cellblock.runtime import builds
from cellblock.settings import table
from cells import Bench, BenchCell, bench_settings

# In the background of a script it is ignored, and the programs that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

NOBODY = 65534
NEEDS_ROOT = "needs the rights of root"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--server", choices=("single", "cluster"), default="single", help="what tests/conformance runs against")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason=NEEDS_ROOT))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = [report.nodeid for report in terminalreporter.stats.get("skipped", ()) if NEEDS_ROOT in str(report.longrepr)]
    if left_out:
        terminalreporter.section("left out: these need root, run `make test` as root too")
        for name in left_out:
            terminalreporter.line(name)


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Whoever runs the tests, this one is an ordinary user's."""
    if (user := os.geteuid()) != 0:
        yield
        return
    os.seteuid(NOBODY)
    yield
    os.seteuid(user)


@pytest.fixture(scope="session")
def built_runtime() -> builds.Runtime:
    """The real runtime of this machine, built when it is not there yet."""
    return builds.build(table.load(), lambda progress: None)


@pytest.fixture(scope="session")
def bench(built_runtime: builds.Runtime) -> Iterator[Bench]:
    """One node with all barriers for the tests of a worker; where they need another kind, it has this name there."""
    with closing(Bench(bench_settings(), built_runtime)) as made:
        yield made


@pytest.fixture
def cell(bench: Bench) -> Iterator[BenchCell]:
    """A fresh cell of it."""
    with bench.cell() as opened:
        yield opened
