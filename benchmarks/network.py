"""What a network costs the start of a session that finds a waiting cell."""

from __future__ import annotations

from _measuring import Report, Samples, command_line, progress
from _serving import Server, Session, server

from cellblock.sandbox.network_stacks import STACKS

FIRST_LINE = "print(6 * 7)"
FIRST_RESULT = "42"
NO_NETWORK = "none"
WARM_UP = 3


def main() -> None:
    """Run it."""
    arguments = command_line(__doc__, count=(12, "sessions to start each way"), pool=(2, "cells that wait for each kind of network"))
    report = Report("network")
    ways = possible_ways(report)
    warm = {way: measure(report, way, count=arguments.count, pool=arguments.pool) for way in ways}
    report.judge("public-start", max(samples.p50 for samples in warm.values()) / warm[NO_NETWORK].p50)
    report.show(arguments)


def possible_ways(report: Report) -> list[str]:
    """None, and those to the internet that this machine has, as the setting names them."""
    reasons = {stack.name: stack.missing() for stack in STACKS}
    for name, reason in reasons.items():
        if reason:
            report.note(f"PUBLIC by {name}", f"not measured: {reason}")
    return [NO_NETWORK, "proxy", *(name for name, reason in reasons.items() if not reason)]


def measure(report: Report, way: str, *, count: int, pool: int) -> Samples:
    """One session after the other, each used once; the pool's time to be full again is not counted."""
    mode = "SANDBOX" if way == NO_NETWORK else "PUBLIC"
    progress(f"{count} sessions of mode {mode} by {way} with a pool of {pool}")
    with server(pool_size=pool, user_network=way) as running:
        interpreter = running.create_interpreter(mode)
        kinds = 1 if mode == "SANDBOX" else 2
        live_through(running, interpreter, Samples(), count=WARM_UP, waiting=0)
        samples = Samples()
        live_through(running, interpreter, samples, count=count, waiting=kinds * pool)
    report.add(f"{mode} by {way}, pool of {pool}: start and first result", samples)
    return samples


def live_through(running: Server, interpreter: str, samples: Samples, *, count: int, waiting: int) -> None:
    """Start, use once, stop."""
    client = running.client()
    for _ in range(count):
        if waiting:
            running.wait_for_pool(waiting)
        with samples.time():
            session = Session(client, interpreter)
            printed = session.run(FIRST_LINE)
        if printed != FIRST_RESULT:
            raise RuntimeError(f"the first line printed {printed!r}")
        session.stop()


if __name__ == "__main__":
    main()
