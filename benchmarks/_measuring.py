"""What the benchmarks share: samples, reports, and the command line."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from _promises import PROMISES

MB = 1_000_000
MS = 1000.0  # a second in milliseconds
LOOP = 500_000  # steps; 20 to 50 ms


@dataclass(slots=True)
class Samples:
    """Measured seconds, or whatever else has a distribution."""

    values: list[float] = field(default_factory=list)

    @contextmanager
    def time(self) -> Iterator[None]:
        """One sample more: how long the block takes."""
        started = time.perf_counter()
        yield
        self.values.append(time.perf_counter() - started)

    def quantile(self, share: float) -> float:
        """The smallest sample that so large a share does not exceed."""
        ordered = sorted(self.values)
        return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]

    @property
    def p50(self) -> float:
        """The median."""
        return self.quantile(0.5)

    @property
    def p99(self) -> float:
        """One in a hundred is above."""
        return self.quantile(0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A distribution as the table shows it."""

    what: str
    unit: str
    count: int
    min: float
    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A promised number beside what was measured."""

    promise: str
    what: str
    target: str
    measured: float
    unit: str
    is_held: bool


class Report:
    """What one script found out."""

    def __init__(self, script: str) -> None:
        self._script = script
        self._machine, self._loop_before = machine(), loop_ms()
        self._started = time.perf_counter()
        self._rows: list[Row] = []
        self._facts: dict[str, str] = {}
        self._verdicts: list[Verdict] = []

    def add(self, what: str, samples: Samples, *, unit: str = "ms", scale: float = MS) -> None:
        """A distribution; `scale` turns the samples into the unit."""
        found = {name: round(samples.quantile(share) * scale, 3) for name, share in _COLUMNS.items()}
        self._rows.append(Row(what=what, unit=unit, count=len(samples.values), **found))

    @property
    def is_held(self) -> bool:
        """Whether everything that was judged is within its bound."""
        return all(verdict.is_held for verdict in self._verdicts)

    def note(self, what: str, value: str) -> None:
        """A figure without a distribution, or why one is missing."""
        self._facts[what] = value

    def judge(self, promise: str, measured: float) -> None:
        """Compare with what is promised."""
        promised = PROMISES[promise]
        verdict = Verdict(
            promise=promise,
            what=promised.what,
            target=promised.target,
            measured=round(measured, 3),
            unit=promised.unit,
            is_held=promised.is_held_by(measured),
        )
        self._verdicts.append(verdict)

    def show(self, arguments: argparse.Namespace) -> None:
        """Print everything as the command line asks, and keep it in a file when it asks for one."""
        self._machine += f", a fixed loop {self._loop_before:.0f} ms before and {loop_ms():.0f} after"
        content = json.dumps(self._content(), indent=2, ensure_ascii=False)
        if arguments.save:
            arguments.save.parent.mkdir(parents=True, exist_ok=True)
            arguments.save.write_text(content + "\n")
        if arguments.json:
            print(content)
            return
        print(f"{self._script}: {self._machine}; took {time.perf_counter() - self._started:.0f} s\n")
        self._show_rows()
        for what, value in self._facts.items():
            print(f"{what}: {value}")
        for verdict in self._verdicts:
            word = "held  " if verdict.is_held else "MISSED"
            print(f"{word}  {verdict.what}: {verdict.measured:g} {verdict.unit} (promised {verdict.target})")

    def _content(self) -> dict[str, object]:
        found: dict[str, object] = {"script": self._script, "machine": self._machine, "facts": self._facts}
        return found | {"rows": [asdict(row) for row in self._rows], "promises": [asdict(verdict) for verdict in self._verdicts]}

    def _show_rows(self) -> None:
        if not self._rows:
            return
        width = max(len(row.what) for row in self._rows)
        print(f"{'':{width}}  {'unit':4} {'count':>6}" + "".join(f"{name:>10}" for name in _COLUMNS))
        for row in self._rows:
            figures = "".join(f"{value:>10.3f}" for value in (row.min, row.p50, row.p90, row.p99, row.max))
            print(f"{row.what:{width}}  {row.unit:4} {row.count:>6}{figures}")
        print()


_COLUMNS = {"min": 0.0, "p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


def machine() -> str:
    """Where this is measured, and how busy others keep it."""
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{os.cpu_count()} cores, {platform.system()} {kernel}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"


def loop_ms() -> float:
    """How long the same computation takes: virtual machines change their speed within minutes."""
    started = time.perf_counter()
    sum(number * number for number in range(LOOP))
    return (time.perf_counter() - started) * MS


def command_line(description: str | None, **counts: tuple[int, str]) -> argparse.Namespace:
    """The arguments of a script: --json, --save, and how often to do what, each with its default and its help."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the JSON to a file as well")
    for name, (default, text) in counts.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default, metavar="N", help=f"{text} (default {default})")
    return parser.parse_args()


def progress(what: str) -> None:
    """Say on standard error what is being done, where a person watches."""
    if sys.stderr.isatty():
        print(f"… {what}", file=sys.stderr)
