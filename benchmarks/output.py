"""Ten megabytes printed in one session: whether all arrive, and what other sessions notice meanwhile."""

from __future__ import annotations

from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context

from _measuring import Report, Samples, command_line, progress
from _serving import Server, Session, server

PRINTED_BYTES = 10_000_000
LINE_BYTES = (100, 10)  # each line is a write of its own, so short lines are the hard case
CODE, RESULT = "1+1", "2"
WARM_UP = 20
LEAST_ROUND_TRIPS = 200


def main() -> None:
    """Run it."""
    arguments = command_line(__doc__, count=(2, "times that 10 MB are printed, with each length of line"))
    report = Report("output")
    with server(pool_size=0) as running, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as elsewhere:
        session = Session(running.client())
        progress("round trips while nothing else happens")
        quiet = round_trips(session, None)
        progress(f"10 MB printed {arguments.count} times")
        printing = elsewhere.submit(print_much, running, arguments.count)
        busy = round_trips(session, printing)
        seconds, lost = printing.result()
    for size, samples in seconds.items():
        report.add(f"10 MB printed in lines of {size} bytes, until the client has read them", samples)
    report.add("round trip of another session meanwhile", busy)
    report.add("floor: the same round trip on a quiet server", quiet)
    report.judge("output-lost", lost)
    report.show(arguments)


def print_much(running: Server, count: int) -> tuple[dict[int, Samples], int]:
    """In a process of its own, so that reading 10 MB holds up no other client: the seconds, and how many bytes were wrong."""
    session = Session(running.client())
    seconds = {size: Samples() for size in LINE_BYTES}
    lost = 0
    for size, samples in seconds.items():
        lines = PRINTED_BYTES // size
        expected = "".join(f"{number:0{size - 1}d}\n" for number in range(lines))
        for _ in range(count):
            with samples.time():
                printed = session.run(f"for number in range({lines}): print(f'{{number:0{size - 1}d}}')")
            lost += difference(expected, printed + "\n")  # results carry output without its last line end
    session.stop()
    return seconds, lost


def difference(expected: str, printed: str) -> int:
    """How many characters are missing, too many, or other ones."""
    if printed == expected:
        return 0
    other = sum(one != two for one, two in zip(expected, printed, strict=False))
    return other + abs(len(expected) - len(printed))


def round_trips(session: Session, until: Future[tuple[dict[int, Samples], int]] | None) -> Samples:
    """One after the other, until that is done."""
    samples = Samples()
    for _ in range(WARM_UP):
        session.run(CODE)
    while len(samples.values) < LEAST_ROUND_TRIPS or (until is not None and not until.done()):
        with samples.time():
            printed = session.run(CODE)
        if printed != RESULT:
            raise RuntimeError(f"{CODE} printed {printed!r}")
    return samples


if __name__ == "__main__":
    main()
