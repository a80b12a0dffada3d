"""Many live sessions on one machine, each with pandas in use: what they take, and how it is when a hundred of them wake at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from _crowd import Crowd, run_line
from _measuring import MB, Report, Samples, progress
from _serving import Session, memory_bytes

GB = 1_000_000_000


def add_memory(report: Report, people: Crowd, taken: int) -> float:
    """All of it, by the machine's own account, and where it is; what each session takes, in MB."""
    progress("memory")
    count = len(people.sessions)
    cells = people.running.cells()
    private = Samples([sum(memory_bytes(pid, "Private_Clean", "Private_Dirty") for pid in cell) / MB for cell in cells])
    report.add("private memory of a session's processes", private, unit="MB", scale=1)
    report.note(f"memory of {count} sessions, the kernel's part too", f"{taken / GB:.2f} GB, {taken / count / MB:.2f} MB each")
    report.note("of the server", f"{memory_bytes(people.running.pid, 'VmRSS') / MB:.0f} MB")
    return taken / count / MB


def add_active(report: Report, people: Crowd, active: int, count: int) -> Samples:
    """A call in one of them, and so many at once with a few calls each, which are returned."""
    everybody = len(people.sessions)
    active = min(active, everybody)
    alone = calls(people.sessions[0], active)
    woken = wake(people.sessions[:: max(1, everybody // active)][:active], count)
    report.add(f"a pandas line in one session, {everybody - 1} others idle", alone)
    report.add(f"a pandas line in {active} sessions at once, each call", woken)
    return woken


def calls(session: Session, count: int) -> Samples:
    """One call after the other."""
    samples = Samples()
    for _ in range(count):
        with samples.time():
            run_line(session)
    return samples


def wake(sessions: list[Session], count: int) -> Samples:
    """All of them at one moment, each with a few calls one after the other."""
    progress(f"{len(sessions)} active sessions")
    samples, ready = Samples(), threading.Barrier(len(sessions))

    def one(session: Session) -> Samples:
        ready.wait()
        return calls(session, count)

    with ThreadPoolExecutor(len(sessions)) as threads:
        for found in [threads.submit(one, session) for session in sessions]:
            samples.values += found.result().values
    return samples
