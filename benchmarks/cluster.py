"""A cluster on one machine: what the hop through a front end costs, what placement costs, and rates of 1, 2 and 4 nodes."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from _clusters import client_of, cluster
from _measuring import MS, Report, Samples, command_line, progress
from _serving import Session

from cellblock.cluster.placement import NodeView, place

WARM_UP = 20
MICROSECONDS = 1e6


def main() -> None:
    """Run it."""
    arguments = command_line(
        __doc__,
        count=(100, "round trips each way"),
        starts=(40, "sessions for each rate"),
        clients=(4, "clients for the rates"),
        at_once=(20, "sessions at once"),
    )
    report = Report("cluster")
    for nodes in (1, 2, 4):
        progress(f"{nodes} nodes")
        with cluster(nodes, max_sessions=1000, session_rate=0, call_rate=0) as made:
            if nodes == 1:
                hop(report, made, arguments.count)
            rates(report, made, nodes, arguments)
    placement(report)
    report.show(arguments)


def hop(report: Report, made: Any, count: int) -> None:
    """Calls of one session, in turns through the front end and straight at its node."""
    through, straight = Samples(), Samples()
    (front,), (node,) = made.front_ends, made.nodes
    session = Session(client_of(front))
    ways = {id(samples): (client_of(process), samples) for process, samples in ((front, through), (node, straight))}
    for number in range(count + WARM_UP):
        for client, samples in ways.values():
            session.client = client
            if number < WARM_UP:
                session.run("1")
                continue
            with samples.time():
                session.run("1")
    session.stop()
    report.add("executeCode through the front end", through)
    report.add("executeCode straight at the node", straight)
    report.note("the front end's hop, p50", f"{(through.p50 - straight.p50) * MS:.2f} ms")
    report.judge("front-end-hop", (through.p50 - straight.p50) * MS)


def rates(report: Report, made: Any, nodes: int, arguments: Any) -> None:
    """Sessions started, used once and stopped by a few clients; then many that live at once."""
    client = client_of(made.front_ends[0], connections=arguments.at_once)
    each = Samples()

    def one(_: int) -> None:
        with each.time():
            session = Session(client)
            session.run("1")
        session.stop()

    with ThreadPoolExecutor(arguments.clients) as pool:
        list(pool.map(one, range(WARM_UP)))
        each.values.clear()
        started = time.perf_counter()
        list(pool.map(one, range(arguments.starts)))
        took = time.perf_counter() - started
    report.add(f"{nodes} nodes: start and first result, {arguments.clients} clients", each)
    report.note(f"{nodes} nodes: sessions a second", f"{arguments.starts / took:.1f}")
    with ThreadPoolExecutor(arguments.at_once) as pool:
        started = time.perf_counter()
        sessions = list(pool.map(lambda _: Session(client), range(arguments.at_once)))
        list(pool.map(lambda session: session.run("1"), sessions))
        took = time.perf_counter() - started
        report.note(f"{nodes} nodes: {arguments.at_once} sessions at once, all started and used", f"{took:.2f} s")
        list(pool.map(Session.stop, sessions))


def placement(report: Report) -> None:
    """The choice of a node among so many, no input or output with it."""
    rng = random.Random(1)
    for count in (4, 50, 1000):
        views = [NodeView(id=f"n{number}", name=f"n{number}", capacity=100, live=rng.randrange(90)) for number in range(count)]
        samples = Samples()
        for _ in range(1000):
            with samples.time():
                place(views, {}, rng=rng)
        report.add(f"placement among {count} nodes", samples, unit="µs", scale=MICROSECONDS)


if __name__ == "__main__":
    main()
