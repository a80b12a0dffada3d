"""Writes docs/specification.md from what the scripts printed with --json: `_write_specification.py FILE...`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from _promises import PROMISES, Promise

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "specification.md"
HEAD = """# Specification: the numbers

What Cellblock promises of its speed, size and cleanliness, and the script that measures each number. `make bench` runs them all but
a cluster's (`make bench-cluster`), and `soak.py` and `fuzz.py`, which are no matter of speed; how they measure tells
[benchmarks/README.md](../benchmarks/README.md), and where the time goes in [performance.md](performance.md). A number that was missed
where it was measured is marked so, and performance.md says what stands against it.

| number | target | measured here | script |
|---|---|---|---|
"""
TAIL = """
Here is a virtual machine whose speed changes by a factor of two; the load is its load average when each script began:

{machines}

This file is written by `benchmarks/_write_specification.py` from the scripts' `--json`.
"""
_ROW = re.compile(r"^\| (.+?) \| .+? \| (.+?) \| \[`(.+?)\.py`\]", re.MULTILINE)
_MACHINE = re.compile(r"^- `(.+?)\.py`: (.+)$", re.MULTILINE)


def main() -> None:
    """Run it; what no file tells of stays as the document has it."""
    found: list[dict[str, Any]] = [json.loads(Path(name).read_text()) for name in sys.argv[1:]]
    old = DOCUMENT.read_text()
    shown = {(what, script): measured for what, measured, script in _ROW.findall(old)}
    machines = dict(_MACHINE.findall(old)) | {one["script"]: one["machine"] for one in found}
    measured = {verdict["promise"]: verdict for one in found for verdict in one["promises"]}
    rows = {name: row(promise, measured.get(name), shown) for name, promise in PROMISES.items()}
    if missing := [name for name, text in rows.items() if not text]:
        sys.exit(f"nothing was measured for {', '.join(missing)}")
    scripts = {promise.script for promise in PROMISES.values()}
    lines = "\n".join(f"- `{script}.py`: {machine}" for script, machine in sorted(machines.items()) if script in scripts)
    DOCUMENT.write_text(HEAD + "".join(rows.values()) + TAIL.format(machines=lines))


def row(promise: Promise, verdict: dict[str, Any] | None, shown: dict[tuple[str, str], str]) -> str:
    """One line of the table; nothing for a number that was never measured."""
    if verdict is None and (promise.what, promise.script) not in shown:
        return ""
    value = shown[promise.what, promise.script] if verdict is None else measured_text(promise, verdict)
    script = f"{promise.script}.py"
    return f"| {promise.what} | {promise.target} | {value} | [`{script}`](../benchmarks/{script}) |\n"


def measured_text(promise: Promise, verdict: dict[str, Any]) -> str:
    """The number with its unit."""
    value = f"{verdict['measured']:.3g}" if abs(verdict["measured"]) < 1000 else f"{verdict['measured']:.0f}"
    return f"{value} {promise.unit}".strip() + ("" if verdict["is_held"] else " (missed)")


if __name__ == "__main__":
    main()
