"""What mixed real work in many sessions at once leaves behind on the machine and in the server, and whether every answer was right."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

from _holdings import Holdings, groups_of, holdings
from _measuring import MB, Report, Samples, command_line, progress
from _serving import Server, descendants, server
from _soak_work import IMPATIENCE_SECONDS, WORK, Clients

from cellblock.service.repeats import KEPT_SECONDS

POOL = 2
OVERLAP = 4  # sessions of vanished clients live on beside those in flight
QUIET_SECONDS = 60
ONCE = {"total_max_attempts": 1}


class Tally:
    """What many threads found out."""

    def __init__(self) -> None:
        self.seconds: dict[str, Samples] = {name: Samples() for name in WORK}
        self.wrong: Counter[str] = Counter()
        self._writing = threading.Lock()  # guards both

    def live(self, name: str, clients: Clients) -> None:
        """One session; what goes wrong is counted and the soak goes on."""
        started = time.perf_counter()
        try:
            WORK[name](clients)
        except Exception as error:  # of any kind: what is not caught in a thread would look like a pass
            self._note(f"{name}: {type(error).__name__}: {error}"[:600])
        with self._writing:
            self.seconds[name].values.append(time.perf_counter() - started)

    def _note(self, what: str) -> None:
        with self._writing:
            self.wrong[what] += 1


def main() -> None:
    """Run it; the exit status says whether everything promised was held."""
    arguments = command_line(
        __doc__,
        count=(1000, "sessions"),
        in_flight=(32, "sessions at once"),
        warm_up=(200, "sessions before the count"),
        limit=(20, "seconds that a call may take, which a busy machine must be able to keep"),
        rest=(int(KEPT_SECONDS) + 5, "seconds of rest before memory is read: results are kept for repeats so long"),
    )
    report = Report("soak")
    mounts = len(host_mounts())
    settings = {"pool_size": POOL, "call_timeout_seconds": arguments.limit, "max_sessions": OVERLAP * arguments.in_flight + 100}
    with server(**settings) as running:
        progress(f"{arguments.warm_up} sessions before the count")
        live_through(running, arguments.warm_up, arguments.in_flight)
        before = settled(running, arguments.rest)
        progress(f"{arguments.count} sessions")
        started = time.perf_counter()
        tally = live_through(running, arguments.count, arguments.in_flight)
        report.note("sessions a second", f"{arguments.count / (time.perf_counter() - started):.1f}")
        after = settled(running, arguments.rest)
        everything = descendants(running.pid)
        pid, log = running.pid, running.log.read_text()
    for name, seconds in tally.seconds.items():
        report.add(name, seconds)
    judge(report, before, after)
    for number, (what, times) in enumerate(tally.wrong.most_common(10), start=1):
        report.note(f"wrong answer {number}, {times} times", what)
    report.judge("soak-wrong", tally.wrong.total())
    report.note("faults in the server's log", str(log.count("service fault") + log.count("request failed") + log.count("Traceback")))
    left = sum(Path(f"/proc/{one}").exists() for one in everything) + len(groups_of(pid)) + len(host_mounts()) - mounts
    report.judge("soak-left-after-end", left)
    report.show(arguments)
    sys.exit(0 if report.is_held else 1)


def live_through(running: Server, count: int, in_flight: int) -> Tally:
    """So many sessions, every kind of work in turn."""
    tally = Tally()
    clients = Clients(
        stock=running.client(connections=2 * in_flight),
        impatient=running.client(connections=2 * in_flight, read_timeout=IMPATIENCE_SECONDS, retries=ONCE),
    )
    kinds = list(WORK)
    with ThreadPoolExecutor(in_flight) as threads:
        for number in range(count):
            threads.submit(tally.live, kinds[number % len(kinds)], clients)
    clients.stock.close()
    clients.impatient.close()
    return tally


def settled(running: Server, rest_seconds: int) -> Holdings:
    """What is held when the last lifetimes are over; after a minute whatever is held then, so that what stays is seen."""
    threading.Event().wait(rest_seconds)
    limit = time.monotonic() + QUIET_SECONDS
    while len(running.cells()) != POOL and time.monotonic() < limit:
        running.ping()
    return holdings(running, len(running.cells()))


def judge(report: Report, before: Holdings, after: Holdings) -> None:
    """Compare what was held with what is."""
    for item in fields(Holdings):
        old, new = getattr(before, item.name), getattr(after, item.name)
        report.note(f"{item.name} before and after", f"{old} and {new}")
        report.judge(f"soak-left-{item.name}", (new - old) / (MB if item.name == "memory" else 1))


def host_mounts() -> list[str]:
    """What is mounted where the server was started."""
    return Path(f"/proc/{os.getpid()}/mountinfo").read_text().splitlines()


if __name__ == "__main__":
    main()
