"""Many sessions: a hundred at once, and how many a second one after the other by a few clients."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from _measuring import Report, Samples, command_line, progress
from _serving import Session, server

CODE = "import numpy; print(numpy.zeros(5).tolist())"
RESULT = "[0.0, 0.0, 0.0, 0.0, 0.0]"
WARM_UP = 5


def main() -> None:
    """Run it."""
    arguments = command_line(
        __doc__,
        at_once=(100, "sessions at once"),
        rounds=(3, "times that these are started"),
        count=(200, "sessions for the rate"),
        clients=(4, "clients for the rate"),
        pool=(2, "cells that wait"),
    )
    report = Report("sessions")
    with server(pool_size=arguments.pool, max_sessions=arguments.at_once + WARM_UP) as running:
        client = running.client(connections=arguments.at_once)
        for _ in range(WARM_UP):
            use_and_stop(client)
        wall = at_once(report, client, arguments.at_once, arguments.rounds)
        running.wait_for_pool(arguments.pool)
        rate = a_second(client, arguments.count, arguments.clients)
    report.note(f"sessions a second, {arguments.clients} clients in one process", f"{rate:.1f}")
    report.judge("sessions-at-once", wall.p50)
    report.judge("sessions-a-second", rate)
    report.show(arguments)


def at_once(report: Report, client: Any, count: int, rounds: int) -> Samples:
    """As many threads start a session and read its first result; the clock stops at the last one."""
    wall, floor, each = Samples(), Samples(), Samples()
    for number in range(rounds):
        progress(f"{count} sessions at once, round {number + 1}")
        sessions: list[Session] = []

        def one(sessions: list[Session] = sessions) -> None:
            with each.time():
                session = Session(client)
                sessions.append(session)
                check(session.run(CODE))

        wall.values.append(together(count, one))
        floor.values.append(together(count, sessions[0].describe_twice))
        for session in sessions:
            session.stop()
    report.add(f"{count} sessions at once, all of them", wall)
    report.add(f"floor: {count} times two requests without a cell", floor)
    report.add(f"{count} sessions at once, each of them", each)
    return wall


def together(count: int, work: Callable[[], object]) -> float:
    """The seconds that as many threads take, from the moment that all of them stand ready."""
    ready = threading.Barrier(count + 1)

    def begin() -> None:
        ready.wait()
        work()

    with ThreadPoolExecutor(count) as threads:
        running = [threads.submit(begin) for _ in range(count)]
        ready.wait()
        started = time.perf_counter()
        for one in running:
            one.result()
        return time.perf_counter() - started


def a_second(client: Any, count: int, clients: int) -> float:
    """Sessions started, used twice and stopped."""
    progress(f"{count} sessions by {clients} clients")
    with ThreadPoolExecutor(clients) as threads:
        started = time.perf_counter()
        for one in [threads.submit(use_and_stop, client) for _ in range(count)]:
            one.result()
        return count / (time.perf_counter() - started)


def use_and_stop(client: Any) -> None:
    """The life of one session."""
    session = Session(client)
    check(session.run(CODE))
    check(session.run(CODE))
    session.stop()


def check(printed: str) -> None:
    """A wrong answer makes every figure worthless."""
    if printed != RESULT:
        raise RuntimeError(f"the code printed {printed!r}")


if __name__ == "__main__":
    main()
