"""How long `executeCode` takes in a live session, and how much of it is neither the cell nor the sandbox."""

from __future__ import annotations

import uvloop
from _measuring import MS, Report, Samples, command_line, progress
from _node import local_node
from _serving import Session, server

from cellblock.model.calls import RunCode
from cellblock.sessions.interpreter_limits import cell_limits

CODE = "1+1"
RESULT = "2"
WARM_UP = 20


def main() -> None:
    """Run it."""
    arguments = command_line(__doc__, count=(1000, "calls of each kind"))
    report = Report("round_trip")
    calls, floor = through_the_api(arguments.count)
    link = uvloop.run(over_the_link(arguments.count))
    report.add(f"executeCode {CODE}", calls)
    report.add("floor: GetCodeInterpreterSession, no cell", floor)
    report.add("floor: the same code over the link, no HTTP", link)
    report.judge("round-trip-p50", calls.p50 * MS)
    report.judge("round-trip-p99", calls.p99 * MS)
    report.show(arguments)


def through_the_api(count: int) -> tuple[Samples, Samples]:
    """A stock client on loopback; the two kinds take turns, so that both meet the same machine."""
    progress(f"{count} calls by a stock client")
    calls, floor = Samples(), Samples()
    with server(pool_size=0) as running:
        session = Session(running.client())
        for number in range(WARM_UP + count):
            with calls.time():
                printed = session.run(CODE)
            with floor.time():
                session.describe()
            if printed != RESULT:
                raise RuntimeError(f"{CODE} printed {printed!r}")
            if number < WARM_UP:
                calls.values.clear()
                floor.values.clear()
        session.stop()
    return calls, floor


async def over_the_link(count: int) -> Samples:
    """The same code in a cell of a node in this process."""
    progress(f"{count} calls over the link")
    samples = Samples()
    async with local_node() as (node, chosen):
        cell = await node.open_cell(cell_limits(chosen))
        call = RunCode(
            code=CODE, language="python", runtime="python", clear_context=False, timeout_seconds=60, output_bytes=chosen.output_bytes
        )
        for number in range(WARM_UP + count):
            with samples.time():
                await cell.call(call)
            if number < WARM_UP:
                samples.values.clear()
    return samples


if __name__ == "__main__":
    main()
