"""The same work by turns, here and with what code interpreters are made of elsewhere: start, first result, round trips, end, memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from _boxes import NotHere
from _measuring import Report, Samples, command_line, progress
from _peers import GATEWAY, IPYKERNEL, OCI, OURS, OURS_COLD, OURS_THIN, Peer, PeerContext, all_peers, contained
from _serving import available_bytes, memory_bytes

from cellblock.runtime import builds
from cellblock.runtime.layout import Runtime
from cellblock.settings import table

FIRST_LINE = "import numpy, pandas, matplotlib.pyplot; print(pandas.DataFrame({'a': [1]}).shape)"
FIRST_RESULT = "(1, 1)"
CODE, RESULT = "print(1+1)", "2"
TO_MB = 1e-6


@dataclass(slots=True)
class Found:
    """What was measured of one of them."""

    start: Samples = field(default_factory=Samples)
    round_trip: Samples = field(default_factory=Samples)
    end: Samples = field(default_factory=Samples)
    shared: float = 0.0  # growth by one session of the memory of all its processes, in bytes; other programs do not disturb it
    whole: float = 0.0  # fall of the machine's available memory by one session, the kernel's part too


def main() -> None:
    """Run it."""
    arguments = command_line(
        __doc__,
        count=(3, "rounds; in each, one session of each peer"),
        ours=(9, "sessions of Cellblock in all rounds together"),
        round_trips=(100, "round trips in each session"),
        alive=(2, "sessions of each that live at once for the memory"),
        ours_alive=(20, "the same of Cellblock"),
        pool=(2, "cells that wait"),
    )
    report = Report("peers")
    built = the_runtime()
    counts = dict.fromkeys((OURS, OURS_COLD, OURS_THIN), arguments.ours)
    with tempfile.TemporaryDirectory(prefix="cellblock-peers-") as directory, ExitStack() as stack:
        peers = begin(report, all_peers(built, Path(directory), arguments.pool), stack)
        found = {name: Found() for name in peers}
        for number in range(arguments.count):
            for name, peer in peers.items():
                progress(f"{name}, round {number + 1}")
                for _ in range(max(1, counts.get(name, arguments.count) // arguments.count)):
                    live(peer, found[name], arguments.round_trips)
                peer.settle(0)  # what it still does to be ready again is not to meet the next one's
        for name, peer in peers.items():
            progress(f"memory of {name}")
            add_memory(peer, found[name], arguments.ours_alive if name in counts else arguments.alive)
    for name, one in found.items():
        show(report, name, one)
    compare(report, found)
    report.show(arguments)


def the_runtime() -> Runtime:
    """What the cells see, and the boxes of the peers."""
    built = builds.find(table.load())
    if built is None:
        raise RuntimeError("the runtime is not built: cellblock runtime build")
    return built


def begin(report: Report, peers: dict[str, Callable[[], PeerContext]], stack: ExitStack) -> dict[str, Peer]:
    """Those that work here; the first session is not counted, for it finds the files of the machine's disk."""
    begun: dict[str, Peer] = {}
    for name, one in peers.items():
        progress(name)
        try:
            peer = stack.enter_context(one())
            live(peer, Found(), 1)
        except NotHere as error:
            report.note(name, f"not measured: {error}")
        else:
            begun[name] = peer
    return begun


def live(peer: Peer, found: Found, round_trips: int) -> None:
    """One session from its start to its end."""
    peer.settle(0)
    with found.start.time():
        box = peer.open()
        check(box.run(FIRST_LINE), FIRST_RESULT)
    for _ in range(round_trips):
        with found.round_trip.time():
            printed = box.run(CODE)
        check(printed, RESULT)
    with found.end.time():
        box.close()


def add_memory(peer: Peer, found: Found, alive: int) -> None:
    """What each session after the first one takes; what the first one brings is paid once."""
    boxes = [peer.open()]
    check(boxes[0].run(FIRST_LINE), FIRST_RESULT)
    peer.settle(1)
    available, shared = available_bytes(), proportional(peer)
    for _ in range(alive):
        boxes.append(peer.open())
        check(boxes[-1].run(FIRST_LINE), FIRST_RESULT)
    peer.settle(1 + alive)
    found.whole, found.shared = (available - available_bytes()) / alive, (proportional(peer) - shared) / alive
    for box in boxes:
        box.close()


def proportional(peer: Peer) -> float:
    """The memory of all its processes, each shared page counted once in all, and their page tables."""
    return sum(memory_bytes(pid, "Pss", "VmPTE") for pid in peer.processes())


def check(printed: str, wanted: str) -> None:
    """A wrong answer makes every figure worthless."""
    if printed != wanted:
        raise RuntimeError(f"the code printed {printed!r}, not {wanted!r}")


def show(report: Report, name: str, found: Found) -> None:
    """Its rows."""
    report.add(f"{name}: start and first pandas result", found.start)
    report.add(f"{name}: round trip", found.round_trip)
    report.add(f"{name}: end", found.end)
    report.add(f"{name}: memory of one session more, its processes'", Samples([found.shared]), unit="MB", scale=TO_MB)
    report.add(f"{name}: memory of one session more, the machine's", Samples([found.whole]), unit="MB", scale=TO_MB)


def compare(report: Report, found: dict[str, Found]) -> None:
    """How many times as much each of the others takes."""
    ours = found[OURS]
    for name, other in found.items():
        if name != OURS:
            start, round_trip = other.start.p50 / ours.start.p50, other.round_trip.p50 / ours.round_trip.p50
            memory = f"memory of the processes {other.shared / ours.shared:.1f} ×, of the machine {other.whole / ours.whole:.1f} ×"
            report.note(f"{name} over {OURS}", f"start {start:.1f} ×, round trip {round_trip:.2f} ×, {memory}")
    container = next((found[name] for name in OCI if name in found), None)
    kernel_inside = next((found[contained(name)] for name in OCI if contained(name) in found), None)
    ipykernel, gateway = found.get(IPYKERNEL), found.get(GATEWAY)
    judge(report, "start-over-ipykernel", ipykernel and ipykernel.start.p50 / ours.start.p50)
    judge(report, "start-over-container", container and container.start.p50 / ours.start.p50)
    judge(report, "round-trip-over-ipykernel", ipykernel and ipykernel.round_trip.p50 / found[OURS_THIN].round_trip.p50)
    judge(report, "round-trip-over-container", kernel_inside and kernel_inside.round_trip.p50 / found[OURS_THIN].round_trip.p50)
    judge(report, "round-trip-of-boto3-over-ipykernel", ipykernel and ipykernel.round_trip.p50 / ours.round_trip.p50)
    judge(report, "round-trip-over-gateway", gateway and gateway.round_trip.p50 / ours.round_trip.p50)
    judge(report, "memory-over-ipykernel", ipykernel and ipykernel.shared / ours.shared)
    judge(report, "memory-over-container", container and container.shared / ours.shared)


def judge(report: Report, promise: str, ratio: float | None) -> None:
    """Nothing is said of a peer that is not here."""
    if ratio is not None:
        report.judge(promise, ratio)


if __name__ == "__main__":
    main()
