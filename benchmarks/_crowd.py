"""Many live sessions, each of which has run a pandas line and then waits; no more than the machine's memory holds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from _measuring import progress
from _serving import Server, Session, available_bytes, memory_bytes, server

LINE = "import pandas as pd; frame = pd.DataFrame({'k': list('abab'), 'v': range(4)}); print(frame.groupby('k').v.sum().to_dict())"
PRINTED = "{'a': 2, 'b': 4}"
LIFETIME_SECONDS = 3600
REST_SECONDS = 5  # longer than a call that waits for its turn among a hundred
TRIAL = 10  # sessions that tell what one costs
SHARE = 0.8  # of the machine's available memory
STARTERS = 4


class Crowd:
    """The live sessions of one server."""

    def __init__(self, running: Server, client: Any) -> None:
        self.running = running
        self.client = client
        self.sessions: list[Session] = []

    def grow(self, count: int) -> None:
        """Until so many live, and none of them does anything."""
        if (missing := count - len(self.sessions)) > 0:
            progress(f"{count} live sessions")
            with ThreadPoolExecutor(STARTERS) as threads:
                self.sessions += [one.result() for one in [threads.submit(self._one) for _ in range(missing)]]
        self.running.wait_for_pool(0, busy=len(self.sessions))

    def affordable(self, count: int) -> int:
        """So many, or as many as there is memory for, judged by what a few more than those that live take; these live on."""
        self.grow(1)
        live = len(self.sessions)
        if live + TRIAL >= count:
            return count
        self.running.wait_for_rest(live)
        before = self.used_bytes()
        self.grow(live + TRIAL)
        self.running.wait_for_rest(live + TRIAL)
        each = max(1.0, (self.used_bytes() - before) / TRIAL)
        return min(count, len(self.sessions) + int(SHARE * available_bytes() / each))

    def used_bytes(self) -> int:
        """The memory of all processes, shared pages counted once."""
        pids = [self.running.pid, self.running.template_pid, *(pid for cell in self.running.cells() for pid in cell)]
        return sum(memory_bytes(pid, "Pss") for pid in pids)

    def _one(self) -> Session:
        session = Session(self.client)
        run_line(session)
        return session


def run_line(session: Session) -> None:
    """The line of pandas; a wrong answer makes every figure worthless."""
    if (printed := session.run(LINE)) != PRINTED:
        raise RuntimeError(f"the line printed {printed!r}")


@contextmanager
def crowd(most: int, connections: int) -> Iterator[Crowd]:
    """A server without a pool for so many sessions and a few more, and nobody in it yet."""
    with server(pool_size=0, max_sessions=most + 100, session_timeout_seconds=LIFETIME_SECONDS, rest_seconds=REST_SECONDS) as running:
        yield Crowd(running, running.client(connections=connections))
