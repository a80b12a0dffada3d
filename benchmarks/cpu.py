"""What confinement costs code that computes: the same program inside a session and outside."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from _measuring import Report, Samples, command_line, progress
from _serving import Session, server

from cellblock.runtime import builds
from cellblock.settings import table


@dataclass(frozen=True, slots=True)
class Work:
    """A program, what of it is timed, and the whole as code that prints the seconds."""

    name: str
    preparation: str
    timed: str

    @property
    def code(self) -> str:
        """What is run on both sides."""
        clock = "import time; started = time.perf_counter()"
        return f"{self.preparation}\n{clock}\n{self.timed}\nprint(time.perf_counter() - started)"


LOOP = Work(
    "a loop of plain Python",
    """
def work(count):
    total = 0
    for number in range(count):
        total += number * number % 7
    return total
""",
    "work(6_000_000)",
)
ARRAYS = Work(
    "numpy sorts a million numbers, four times",
    "import numpy",
    "for seed in range(4): numpy.sort(numpy.random.default_rng(seed).random(1_000_000))",
)
CALLS = Work("300,000 system calls", "import os", "for _ in range(300_000): os.getppid()")


def main() -> None:
    """Run it."""
    arguments = command_line(__doc__, count=(5, "runs of each program on each side"))
    report = Report("cpu")
    ratios: dict[str, float] = {}
    with server(pool_size=0) as running:
        session = Session(running.client())
        for work in (LOOP, ARRAYS, CALLS):
            ratios[work.name] = compare(report, session, work, arguments.count)
    report.note(f"inside over outside, {ARRAYS.name}", f"{ratios[ARRAYS.name]:.3f} ×")
    report.note(f"inside over outside, {CALLS.name} (each passes the filter)", f"{ratios[CALLS.name]:.3f} ×")
    report.judge("cpu-ratio", ratios[LOOP.name])
    report.show(arguments)


def compare(report: Report, session: Session, work: Work, count: int) -> float:
    """The two sides take turns; the ratio is of the fastest runs, which others on the machine disturbed least."""
    progress(work.name)
    built = builds.find(table.load())
    if built is None:
        raise RuntimeError("the runtime is not built")
    inside, outside = Samples(), Samples()
    for _ in range(count):
        inside.values.append(float(session.run(work.code)))
        command = [str(built.on_host(built.python)), "-c", work.code]
        outside.values.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    report.add(f"inside: {work.name}", inside)
    report.add(f"outside: {work.name}", outside)
    return min(inside.values) / min(outside.values)


if __name__ == "__main__":
    main()
