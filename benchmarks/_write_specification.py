"""Writes docs/specification.md from what the scripts printed with --json: `_write_specification.py FILE...`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from _promises import PROMISES, Promise

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "specification.md"
HEAD = """# Specification: the numbers

What Cellblock promises of its speed, size and cleanliness, and the script that measures each number. `make bench` runs them all; how
they measure is told in [benchmarks/README.md](../benchmarks/README.md). A number that was missed where it was measured is marked so.

| number | target | measured here | script |
|---|---|---|---|
"""
TAIL = """
Here is a virtual machine; the load is its load average when each script began:

{machines}

This file is written by `benchmarks/_write_specification.py` from the scripts' `--json`.
"""


def main() -> None:
    """Run it."""
    found: list[dict[str, Any]] = [json.loads(Path(name).read_text()) for name in sys.argv[1:]]
    measured = {verdict["promise"]: verdict for one in found for verdict in one["promises"]}
    if missing := PROMISES.keys() - measured.keys():
        sys.exit(f"nothing was measured for {', '.join(sorted(missing))}")
    rows = "".join(row(promise, measured[name]) for name, promise in PROMISES.items())
    machines = "\n".join(f"- `{one['script']}.py`: {one['machine']}" for one in sorted(found, key=lambda one: str(one["script"])))
    DOCUMENT.write_text(HEAD + rows + TAIL.format(machines=machines))


def row(promise: Promise, verdict: dict[str, Any]) -> str:
    """One line of the table."""
    value = f"{verdict['measured']:.3g}" if verdict["measured"] < 1000 else f"{verdict['measured']:.0f}"
    shown = f"{value} {promise.unit}".strip() + ("" if verdict["is_held"] else " (missed)")
    script = f"{promise.script}.py"
    return f"| {promise.what} | {promise.target} | {shown} | [`{script}`](../benchmarks/{script}) |\n"


if __name__ == "__main__":
    main()
