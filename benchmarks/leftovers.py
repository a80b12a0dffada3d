"""What a thousand sessions leave behind on the machine and in the server."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from _holdings import Holdings, groups_of, holdings
from _measuring import MB, Report, Samples, command_line, progress
from _serving import Server, Session, descendants, server

CODE = "import numpy; open('file', 'w').write('x' * 100_000); print(numpy.zeros(5).tolist())"
COMMAND = "sleep 1000 & echo left behind"
WARM_UP = 20


def main() -> None:
    """Run it."""
    arguments = command_line(__doc__, count=(1000, "sessions"), pool=(2, "cells that wait"))
    report = Report("leftovers")
    with server(pool_size=arguments.pool) as running:
        live_through(running, WARM_UP, Samples())
        before = holdings(running, arguments.pool)
        seconds = Samples()
        progress(f"{arguments.count} sessions")
        live_through(running, arguments.count, seconds)
        after = holdings(running, arguments.pool)
        everything = descendants(running.pid)
    report.add("start, run code, leave a process, stop", seconds)
    report.note("left after the server's own end: control groups", str(len(groups_of(running.pid))))
    report.note("left after the server's own end: processes", str(sum(Path(f"/proc/{pid}").exists() for pid in everything)))
    for item in fields(Holdings):
        old, new = getattr(before, item.name), getattr(after, item.name)
        report.note(f"{item.name} before and after", f"{old} and {new}")
        report.judge(f"left-{item.name}", (new - old) / (MB if item.name == "memory" else 1))
    report.show(arguments)


def live_through(running: Server, count: int, seconds: Samples) -> None:
    """Sessions that write a file and leave a process running."""
    client = running.client()
    for _ in range(count):
        with seconds.time():
            session = Session(client)
            session.run(CODE)
            session.invoke("executeCommand", command=COMMAND)
            session.stop()
    client.close()


if __name__ == "__main__":
    main()
