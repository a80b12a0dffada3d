"""What a call in a live session loses while the pool opens a cell for the next session."""

from __future__ import annotations

import time

from _measuring import Report, Samples, command_line, progress
from _serving import Session, server

from cellblock.sessions.pool import COURTESY_SECONDS

CODE = "1+1"
WARM_UP = 50
OPENING_SECONDS = 0.05  # after the pool's courtesy: a cell's opening on a slow machine
CALLS_AFTER = 100  # so many that most of them meet a pool that rests


def main() -> None:
    """Run it."""
    arguments = command_line(__doc__, count=(20, "sessions that are started, each making the pool open a cell"))
    report = Report("refill")
    meanwhile, resting = calls_after_starts(arguments.count)
    report.add("executeCode while the pool opens a cell", meanwhile)
    report.add("floor: the same while it rests", resting)
    report.judge("refill-round-trip", meanwhile.p50 / resting.p50)
    report.show(arguments)


def calls_after_starts(count: int) -> tuple[Samples, Samples]:
    """Round trips of one session, by how long ago another took a waiting cell."""
    progress(f"{count} starts, {CALLS_AFTER} calls after each")
    meanwhile, resting = Samples(), Samples()
    with server(pool_size=1) as running:
        client = running.client()
        session = Session(client)
        for _ in range(WARM_UP):
            session.run(CODE)
        for _ in range(count):
            running.wait_for_pool(1, busy=1)
            other = Session(client)
            started = time.perf_counter()
            for _ in range(CALLS_AFTER):
                is_opening = COURTESY_SECONDS < time.perf_counter() - started < COURTESY_SECONDS + OPENING_SECONDS
                with (meanwhile if is_opening else resting).time():
                    session.run(CODE)
            other.stop()
    return meanwhile, resting


if __name__ == "__main__":
    main()
