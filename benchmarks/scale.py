"""Where it bends: start and round trip against live sessions, and against clients at work; a thousand sessions' memory and waking."""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from typing import Any

from _crowd import Crowd, crowd
from _dense import add_active, add_memory
from _kernel_threads import KernelThreads
from _measuring import MS, Report, Samples, command_line, progress
from _serving import Server, Session, available_bytes

LIVE = (1, 10, 100, 500, 1000)
CLIENTS = (1, 2, 4, 8, 16, 32)
FIRST_OF_MANY, PROMISED_ACTIVE = 100, 100
FEWEST_LIVES = 12  # of all clients together
CODE, RESULT = "1+1", "2"
WARM_UP = 5


@dataclass(slots=True)
class Point:
    """What was measured at one number of sessions or clients."""

    start: Samples = field(default_factory=Samples)
    round_trip: Samples = field(default_factory=Samples)
    seconds: float = 0.0


def main() -> None:
    """Run it."""
    arguments = command_line(
        __doc__,
        live=(LIVE[-1], "live sessions at most; fewer when memory is short"),
        clients=(CLIENTS[-1], "clients at most"),
        starts=(40, "starts at each number of live sessions"),
        count=(100, "round trips at each number of live sessions"),
        lives=(2, "sessions that each client starts, one after the other"),
        calls=(10, "round trips in each of them, and calls of each active session"),
        active=(100, "of the live sessions that are active at once"),
    )
    report = Report("scale")
    with crowd(arguments.live, connections=arguments.active) as people:
        before = available_bytes()
        points = at_each_step(report, people, arguments)
        each = add_memory(report, people, before - available_bytes())
        woken = add_active(report, people, arguments.active, arguments.calls)
    for live, point in points.items():
        report.add(f"start and first result, {live} live", point.start)
        report.add(f"round trip, {live} live", point.round_trip)
    with crowd(0, connections=10) as people:
        for clients in [number for number in CLIENTS if number <= arguments.clients]:
            lives = max(arguments.lives, FEWEST_LIVES // clients)
            add_clients(report, with_clients(people.running, clients, lives=lives, calls=arguments.calls), clients)
    (fewest, *_, last) = points.values()
    report.judge("density-sessions", max(points))
    report.judge("density-memory", each)
    if len(woken.values) >= PROMISED_ACTIVE * arguments.calls:
        report.judge("density-active-p99", woken.p99 * MS)
    report.judge("scale-start", last.start.p99 / fewest.start.p99)
    report.judge("scale-round-trip", last.round_trip.p99 / fewest.round_trip.p99)
    report.show(arguments)


def at_each_step(report: Report, people: Crowd, arguments: argparse.Namespace) -> dict[int, Point]:
    """By the number of live sessions; no more than there is memory for."""
    points: dict[int, Point] = {}
    most = arguments.live
    for step in sorted({*(step for step in LIVE if step <= arguments.live), arguments.live}):
        if step >= FIRST_OF_MANY and most == arguments.live:
            most = people.affordable(arguments.live)
        if (live := min(step, most)) not in points:
            others = KernelThreads()
            points[live] = with_live(people, live, starts=arguments.starts, count=arguments.count)
            report.note(f"the kernel's own threads meanwhile, {live} live", others.told())
    return points


def with_live(people: Crowd, live: int, *, starts: int, count: int) -> Point:
    """One client, while so many sessions live."""
    people.grow(live)
    if live >= FIRST_OF_MANY:
        people.running.wait_for_rest(live)  # what it takes to come to rest is the rest's, not the number's
    progress(f"{starts} starts and {count} round trips with {live} live sessions")
    point = Point()
    for number in range(WARM_UP + starts):
        begin(people.client, point.start if number >= WARM_UP else Samples()).stop()
    session = people.sessions[-1]
    for _ in range(count):
        call(session, point.round_trip)
    return point


def begin(client: Any, samples: Samples) -> Session:
    """A new session with its first result."""
    with samples.time():
        session = Session(client)
        printed = session.run(CODE)
    check(printed)
    return session


def call(session: Session, samples: Samples) -> None:
    """One round trip."""
    with samples.time():
        printed = session.run(CODE)
    check(printed)


def check(printed: str) -> None:
    """A wrong answer makes every figure worthless."""
    if printed != RESULT:
        raise RuntimeError(f"{CODE} printed {printed!r}")


def with_clients(running: Server, clients: int, *, lives: int, calls: int) -> Point:
    """So many client processes at once, each with sessions of its own."""
    progress(f"{clients} clients")
    context = multiprocessing.get_context("fork")  # nothing of this process runs in threads here
    ready, answers = context.Barrier(clients), context.SimpleQueue()
    workers = [context.Process(target=one_client, args=(running, ready, answers.put, lives, calls)) for _ in range(clients)]
    for worker in workers:
        worker.start()
    point, begun, ended = Point(), [], []
    for _ in workers:
        start, round_trip, since, until = answers.get()
        point.start.values += start
        point.round_trip.values += round_trip
        begun.append(since)
        ended.append(until)
    for worker in workers:
        worker.join()
    point.seconds = max(ended) - min(begun)
    return point


def one_client(running: Server, ready: Barrier, answer: Callable[[object], None], lives: int, calls: int) -> None:
    """One after the other; the answer says when, by the machine's clock (clock_gettime(2), CLOCK_MONOTONIC)."""
    client, point = running.client(), Point()
    begin(client, Samples()).stop()
    ready.wait()
    since = time.monotonic()
    for _ in range(lives):
        session = begin(client, point.start)
        for _ in range(calls):
            call(session, point.round_trip)
        session.stop()
    answer((point.start.values, point.round_trip.values, since, time.monotonic()))


def add_clients(report: Report, point: Point, clients: int) -> None:
    """The rows of one number of clients."""
    report.add(f"start and first result, {clients} clients", point.start)
    report.add(f"round trip, {clients} clients", point.round_trip)
    calls = len(point.start.values) + len(point.round_trip.values)
    report.note(
        f"{clients} clients", f"{calls / point.seconds:.0f} runs a second, {len(point.start.values) / point.seconds:.1f} of them first"
    )


if __name__ == "__main__":
    main()
