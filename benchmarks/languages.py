"""What the first call and the later ones cost in each language, beside a program of the same runtime started fresh."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _measuring import MS, Report, Samples, command_line, progress
from _serving import Session, server

from cellblock.runtime import builds as runtime
from cellblock.settings import table

RESULT = "2"
WARM_UP = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A language on a runtime: what is called, and the peer that a user without sessions would start."""

    name: str
    language: str
    runtime: str
    code: str
    peer: tuple[str, ...]


NODE = ("node", "-e", "console.log(1 + 1)")
DENO = ("deno", "eval", "console.log(1 + 1)")
WAYS = (
    Way(name="Python", language="python", runtime="python", code="1 + 1", peer=("python", "-c", "print(1 + 1)")),
    Way(name="JavaScript on Node", language="javascript", runtime="nodejs", code="1 + 1", peer=NODE),
    Way(name="TypeScript on Node", language="typescript", runtime="nodejs", code="const n: number = 1; n + 1", peer=NODE),
    Way(name="JavaScript on Deno", language="javascript", runtime="deno", code="1 + 1", peer=DENO),
    Way(name="TypeScript on Deno", language="typescript", runtime="deno", code="const n: number = 1; n + 1", peer=DENO),
)


def main() -> None:
    """Run it."""
    arguments = command_line(__doc__, count=(200, "later calls in each way"), starts=(6, "first calls in each way"))
    report = Report("languages")
    built = runtime.build(table.load(), lambda step: None)
    with server(pool_size=0, max_sessions=len(WAYS) + 1) as running:
        client = running.client()
        for way in WAYS:
            progress(way.name)
            add_first_calls(report, client, way, arguments.starts, built.path / "bin")
        later = {way.name: later_calls(client, way, arguments.count) for way in WAYS}
    for name, samples in later.items():
        report.add(f"{name}: later call", samples)
    report.judge("node-round-trip-p50", later["JavaScript on Node"].p50 * MS)
    report.judge("deno-round-trip-p50", later["JavaScript on Deno"].p50 * MS)
    report.show(arguments)


def add_first_calls(report: Report, client: Any, way: Way, count: int, programs: Path) -> None:
    """A kernel that is started for the call, and the peer by turns, so that both meet the same machine."""
    first, peer = Samples(), Samples()
    program, *options = way.peer
    for _ in range(count):
        session = Session(client)
        with first.time():
            call(session, way)
        session.stop()
        with peer.time():
            subprocess.run([programs / program, *options], check=True, stdout=subprocess.DEVNULL)
    report.add(f"{way.name}: first call", first)
    report.add(f"  peer: {program} {options[0]}, started fresh", peer)


def later_calls(client: Any, way: Way, count: int) -> Samples:
    """In one session."""
    samples = Samples()
    session = Session(client)
    for number in range(WARM_UP + count):
        with samples.time():
            call(session, way)
        if number < WARM_UP:
            samples.values.clear()
    session.stop()
    return samples


def call(session: Session, way: Way) -> None:
    """One call, which must give its result."""
    result = session.invoke("executeCode", language=way.language, runtime=way.runtime, code=way.code)
    if result["structuredContent"]["stdout"] != RESULT:
        raise RuntimeError(f"{way.name} gave {result}")


if __name__ == "__main__":
    main()
