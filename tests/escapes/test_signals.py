"""Signals would end the agent, and with it a session that others share, or processes of the host."""

from __future__ import annotations

import os
import subprocess
import sys

from cells import BenchCell, on_host

KILL = "print(attempt(os.kill, {pid}, {number}))"
ALL_SIGNALS = "for number in range(1, 65):\n    attempt(os.kill, 1, number)\nprint('sent')"


def test_processes_of_the_host_cannot_be_signalled(cell: BenchCell) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as victim:
        stop = KILL.format(pid=victim.pid, number=0)
        assert on_host(stop) == "done"
        assert cell.probe(stop) == "ESRCH"
        assert cell.probe(KILL.format(pid=os.getpid(), number=9)) == "ESRCH"
        assert victim.stdin is not None
        victim.stdin.close()


def test_the_first_process_survives_every_signal(cell: BenchCell) -> None:
    own_child = "child = os.fork()\nif child == 0: signal.pause()\nos.kill(child, 9); print(os.waitpid(child, 0)[1])"
    assert cell.probe(own_child) == "9"
    assert cell.probe(ALL_SIGNALS) == "sent"
    assert cell.shell("kill -9 1; kill -STOP 1; echo alive") == "alive"
    assert cell.probe("print(40 + 2)") == "42"


def test_killing_everything_ends_the_kernel_and_not_the_session(cell: BenchCell) -> None:
    cell.probe("kept = 1")
    assert cell.command("kill -9 -1").outcome in ("done", "killed")
    cell.run("pass")  # may have met the dying kernel
    assert cell.probe("print('kept' in globals())") == "False"
    assert cell.shell("echo alive") == "alive"


def test_stopping_everything_does_not_stop_the_session(cell: BenchCell) -> None:
    cell.command("kill -STOP -1")
    assert cell.run("print(1)", timeout_seconds=0.2).outcome == "timeout"
    assert cell.probe("print('alive')") == "alive"
