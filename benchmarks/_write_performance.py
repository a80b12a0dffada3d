"""Writes the tables and pictures of docs/performance.md from what was saved: `_write_performance.py DIRECTORY`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from _peers import IPYKERNEL, OCI, OURS
from _svg import Axes, Line, bars, lines

DOCS = Path(__file__).resolve().parents[1] / "docs"
DOCUMENT = DOCS / "performance.md"
SESSIONS = (0, 250, 500, 750, 1000)
START, MEMORY = "start and first pandas result", "memory of one session more, its processes'"
PEER_ROWS = (START, "round trip", "end", MEMORY, "memory of one session more, the machine's")
Rows = dict[str, dict[str, Any]]


def main() -> None:
    """Run it; what was not saved stays as it is."""
    place, written = Path(sys.argv[1]), DOCUMENT.read_text()
    for name, write in (("peers", write_peers), ("scale", write_scale), ("stages", write_stages), ("preload", write_preload)):
        if (file := place / f"{name}.json").exists():
            found = json.loads(file.read_text())
            rows = {row["what"]: row for row in found["rows"]}
            written = replaced(written, name, f"{write(rows)}\n\nMeasured on: {found['machine']}.")
    DOCUMENT.write_text(written)


def replaced(document: str, name: str, content: str) -> str:
    """The document with what stands between the two marks of this name written anew."""
    begin, end = f"<!-- {name}, by benchmarks/_write_performance.py -->", f"<!-- end of {name} -->"
    head, tail = document.split(begin)[0], document.split(end)[1]
    return f"{head}{begin}\n\n{content}\n\n{end}{tail}"


def table(head: tuple[str, ...], body: list[tuple[str, ...]]) -> str:
    """Markdown."""
    rule = ("---", *("---:" for _ in head[1:]))
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))


def write_peers(rows: Rows) -> str:
    """Side by side, and two pictures."""
    names = [what.removesuffix(f": {START}") for what in rows if what.endswith(f": {START}")]
    start = {name: rows[f"{name}: {START}"]["p50"] for name in names}
    container = [name for name in OCI if name in names][:1]
    memory = {name: rows[f"{name}: {MEMORY}"]["p50"] for name in (OURS, IPYKERNEL, *container) if name in names}
    (DOCS / "start.svg").write_text(bars("From nothing to the first pandas result (p50)", start, "ms"))
    slopes = [Line(name, [(count, count * each / 1000) for count in SESSIONS]) for name, each in memory.items()]
    (DOCS / "memory.svg").write_text(lines("Memory of live sessions with pandas, by what one more takes", Axes("sessions", "GB"), slopes))
    body = [(name, *(figure(rows[f"{name}: {what}"]["p50"]) for what in PEER_ROWS)) for name in names]
    return table(("p50", "start, ms", "round trip, ms", "end, ms", "memory of its processes, MB", "memory of the machine, MB"), body)


def figure(value: float) -> str:
    """Three digits; memory that did not fall was lost in what others on the machine did."""
    return "lost in noise" if value <= 0 else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def write_scale(rows: Rows) -> str:
    """The curves, and the figures that they are drawn from."""
    live, clients = points(rows, "live"), points(rows, "clients")
    for name, found, x in (("scale-sessions", live, "live sessions"), ("scale-clients", clients, "clients at once")):
        drawn = [Line(what, [(count, one[what]) for count, one in found.items()]) for what in ("start p99", "round trip p99")]
        title = f"Start with first result, and round trip, against {x}"
        (DOCS / f"{name}.svg").write_text(lines(title, Axes(x, "ms", is_log_x=True), drawn))
    head = ("", "start p50, ms", "start p99, ms", "round trip p50, ms", "round trip p99, ms")
    body = [(f"{count} live", *figures(one)) for count, one in live.items()]
    return table(head, body + [(f"{count} clients", *figures(one)) for count, one in clients.items()])


def points(rows: Rows, what: str) -> dict[int, dict[str, float]]:
    """By the number of sessions or clients."""
    found: dict[int, dict[str, float]] = {}
    for name, row in rows.items():
        if match := re.fullmatch(rf"(start|round trip).*, (\d+) {what}", name):
            found.setdefault(int(match[2]), {}).update({f"{match[1]} {part}": row[part] for part in ("p50", "p99")})
    return found


def figures(point: dict[str, float]) -> tuple[str, ...]:
    """In the order of the table's head."""
    return tuple(figure(point[name]) for name in ("start p50", "start p99", "round trip p50", "round trip p99"))


def write_stages(rows: Rows) -> str:
    """A table for each kind, whose last row is the sum of the others."""
    kinds = dict.fromkeys(what.partition(": ")[0] for what in rows)
    return "\n\n".join(stage_table(kind, rows) for kind in kinds)


def stage_table(kind: str, rows: Rows) -> str:
    """Milliseconds, and the share of the whole."""
    found = {what.removeprefix(f"{kind}: "): row["p50"] for what, row in rows.items() if what.startswith(f"{kind}: ")}
    body = [(name, f"{value:.3f}", f"{100 * value / found['all']:.0f} %") for name, value in found.items()]
    return table((f"{kind}: where the time goes", "ms", "share"), body)


def write_preload(rows: Rows) -> str:
    """A line for each choice of what the template imports."""
    choices = dict.fromkeys(what.partition(": ")[0] for what in rows)
    first = f"{next(iter(choices))}: "
    columns = {what.removeprefix(first): row["unit"] for what, row in rows.items() if what.startswith(first)}
    body = [(name, *(figure(rows[f"{name}: {column}"]["p50"]) for column in columns)) for name in choices]
    return table(("preloaded (p50)", *(f"{column}, {unit}" for column, unit in columns.items())), body)


if __name__ == "__main__":
    main()
