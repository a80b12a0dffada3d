"""How long a user waits for the first result of a new session, with a warm pool and without one."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import Any

from _measuring import MS, Report, Samples, command_line, progress
from _serving import Server, Session, server

from cellblock.runtime import builds
from cellblock.settings import table

FIRST_LINE = "import pandas as pd; print(pd.DataFrame({'a': [1]}).shape)"
FIRST_RESULT = "(1, 1)"
LIBRARIES = "import numpy, pandas, matplotlib.pyplot"
WARM_UP = 5


@dataclass(slots=True)
class Steps:
    """The life of each session, as its user waits for it."""

    whole: Samples = field(default_factory=Samples)
    start: Samples = field(default_factory=Samples)
    first: Samples = field(default_factory=Samples)
    second: Samples = field(default_factory=Samples)
    stop: Samples = field(default_factory=Samples)


def main() -> None:
    """Run it."""
    arguments = command_line(
        __doc__, count=(200, "sessions to start"), cold=(40, "without a pool"), pool=(2, "cells that wait"), peers=(5, "runs of the peer")
    )
    report = Report("start")
    warm = measure(report, count=arguments.count, pool=arguments.pool)
    cold = measure(report, count=arguments.cold, pool=0)
    add_python(report, arguments.peers)
    report.judge("start-warm-p50", warm.p50 * MS)
    report.judge("start-warm-p99", warm.p99 * MS)
    report.judge("start-cold-p50", cold.p50 * MS)
    report.show(arguments)


def measure(report: Report, *, count: int, pool: int) -> Samples:
    """One session after the other; the pool's time to be full again is not counted."""
    progress(f"{count} sessions with a pool of {pool}")
    with server(pool_size=pool) as running:
        client = running.client()
        live_through(running, client, pool, WARM_UP)
        steps = live_through(running, client, pool, count)
    report.add(f"start and first result, pool of {pool}", steps.whole)
    report.add("  StartCodeInterpreterSession", steps.start)
    report.add("  first executeCode: import pandas", steps.first)
    report.add("second executeCode: the same", steps.second)
    report.add("StopCodeInterpreterSession", steps.stop)
    return steps.whole


def live_through(running: Server, client: Any, pool: int, count: int) -> Steps:
    """Start, use twice, stop."""
    steps = Steps()
    for _ in range(count):
        running.wait_for_pool(pool)
        with steps.whole.time():
            with steps.start.time():
                session = Session(client)
            with steps.first.time():
                printed = session.run(FIRST_LINE)
        if printed != FIRST_RESULT:
            raise RuntimeError(f"the first line printed {printed!r}")
        with steps.second.time():
            session.run(FIRST_LINE)
        with steps.stop.time():
            session.stop()
    return steps


def add_python(report: Report, count: int) -> None:
    """The peer without a sandbox: a new interpreter of the same runtime, which imports what the template has imported."""
    built = builds.find(table.load())
    if built is None:
        raise RuntimeError("the runtime is not built")
    samples = Samples()
    for _ in range(count):
        with samples.time():
            subprocess.run([built.on_host(built.python), "-c", LIBRARIES], check=True)
    report.add(f"peer: python -c '{LIBRARIES}'", samples)


if __name__ == "__main__":
    main()
