"""What others measure of their sandboxes: create to `node -v`, alone, staggered and in a burst; short runs; forks; whole short lives."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvloop
from _measuring import MS, Report, Samples, command_line, progress
from _node import local_node
from _serving import Server, Session, server

from cellblock.runtime import builds
from cellblock.sessions.interpreter_limits import cell_limits
from cellblock.settings import table

COMMAND = "node -v"
NUMPY, ZEROS = "import numpy; print(numpy.zeros(5).tolist())", "[0.0, 0.0, 0.0, 0.0, 0.0]"
STAGGER_SECONDS = 0.2
PROMISED_BURST = 100
WARM_UP = 3
FLOOR_RUNS = 10


def main() -> None:
    """Run it."""
    arguments = command_line(
        __doc__,
        count=(30, "sessions one after the other, and staggered"),
        burst=(100, "sessions in a burst"),
        runs=(100, "runs of numpy.zeros"),
        forks=(1000, "cells opened and closed"),
        lives=(30, "times create, exec and close"),
        pool=(2, "cells that wait"),
    )
    report = Report("yardsticks")
    with server(pool_size=arguments.pool, max_sessions=2 * arguments.burst) as running:
        client = running.client(connections=arguments.burst)
        first_commands(report, running, client, count=arguments.count, burst=arguments.burst, pool=arguments.pool)
        short_runs(report, client, arguments.runs)
        whole_lives(report, running, client, count=arguments.lives, pool=arguments.pool)
    add_floor(report)
    rate = uvloop.run(forks(report, arguments.forks))
    report.note("cells opened and closed, a second", f"{rate:.1f}")
    report.show(arguments)


def first_commands(report: Report, running: Server, client: Any, *, count: int, burst: int, pool: int) -> None:
    """Create, then the first command: how ComputeSDK's benchmark measures providers."""
    progress(f"{count} times {COMMAND}")
    version = host_version()
    alone, staggered, at_once = Samples(), Samples(), Samples()
    for number in range(WARM_UP + count):
        running.wait_for_pool(pool)
        first_command(client, alone if number >= WARM_UP else Samples(), version).stop()
    progress(f"{count} staggered, {burst} in a burst")
    together(count, lambda: first_command(client, staggered, version), STAGGER_SECONDS)
    running.wait_for_pool(pool)
    wall, failures = together(burst, lambda: first_command(client, at_once, version), 0.0)
    report.add(f"create and {COMMAND}, one after the other", alone)
    report.add(f"create and {COMMAND}, one every {STAGGER_SECONDS * MS:.0f} ms", staggered)
    report.add(f"create and {COMMAND}, {burst} at one moment, each", at_once)
    report.note(f"{burst} at one moment, all", f"{wall * MS:.0f} ms")
    report.judge("node-v-p50", alone.p50 * MS)
    if burst >= PROMISED_BURST:
        report.judge("node-v-failures", failures)


def host_version() -> str:
    """What the command must print."""
    built = builds.find(table.load())
    if built is None:
        raise RuntimeError("the runtime is not built")
    return subprocess.run([built.on_host(built.python).with_name("node"), "-v"], check=True, capture_output=True, text=True).stdout.strip()


def first_command(client: Any, samples: Samples, wanted: str) -> Session:
    """One session with its first command."""
    with samples.time():
        session = Session(client)
        printed = session.invoke("executeCommand", command=COMMAND)["structuredContent"]["stdout"].strip()
    if printed != wanted:
        raise RuntimeError(f"{COMMAND} printed {printed!r}")
    return session


def together(count: int, begin: Callable[[], Session], stagger_seconds: float) -> tuple[float, int]:
    """The seconds until all have their result, and how many failed; each begins so long after the one before."""
    with ThreadPoolExecutor(count) as threads:
        started = time.perf_counter()
        running = []
        for number in range(count):
            threading.Event().wait(max(0.0, started + number * stagger_seconds - time.perf_counter()))
            running.append(threads.submit(begin))
        failures = sum(one.exception() is not None for one in running)
        seconds = time.perf_counter() - started
    for one in running:
        if one.exception() is None:
            one.result().stop()
    return seconds, failures


def short_runs(report: Report, client: Any, count: int) -> None:
    """One session, the same short run again and again."""
    progress(f"{count} times numpy.zeros")
    each, session = Samples(), Session(client)
    for _ in range(count):
        with each.time():
            check(session.run(NUMPY))
    session.stop()
    report.add("numpy.zeros(5).tolist() in a live session", each)
    report.note(f"{count} × numpy.zeros(5).tolist()", f"{sum(each.values) * MS:.0f} ms")


def whole_lives(report: Report, running: Server, client: Any, *, count: int, pool: int) -> None:
    """Create, run and close, as fast as one client can: the pool is not waited for."""
    progress(f"{count} whole lives")
    each = Samples()
    running.wait_for_pool(pool)
    for _ in range(count):
        with each.time():
            session = Session(client)
            check(session.run(NUMPY))
            session.stop()
    report.add("create, run and close", each)
    report.note(f"{count} × create, run and close", f"{sum(each.values) * MS:.0f} ms")


def add_floor(report: Report) -> None:
    """The command alone, outside."""
    built, samples = builds.find(table.load()), Samples()
    assert built is not None
    for _ in range(FLOOR_RUNS):
        with samples.time():
            subprocess.run([built.on_host(built.python).with_name("node"), "-v"], check=True, stdout=subprocess.DEVNULL)
    report.add(f"floor: {COMMAND} outside", samples)


async def forks(report: Report, count: int) -> float:
    """Cells of a node in this process, without a server; how many a second."""
    progress(f"{count} forks")
    opened, closed = Samples(), Samples()
    async with local_node() as (node, chosen):
        limits = cell_limits(chosen)
        await (await node.open_cell(limits)).close()
        started = time.perf_counter()
        for _ in range(count):
            with opened.time():
                cell = await node.open_cell(limits)
            with closed.time():
                await cell.close()
        seconds = time.perf_counter() - started
    report.add("open a cell without HTTP: fork, confine, kernel", opened)
    report.add("close it: kill, reap, remove", closed)
    return count / seconds


def check(printed: str) -> None:
    """A wrong answer makes every figure worthless."""
    if printed != ZEROS:
        raise RuntimeError(f"the code printed {printed!r}")


if __name__ == "__main__":
    main()
