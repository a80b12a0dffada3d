"""Code that will not end, or leaves something running, would keep its share of the host for as long as it likes."""

from __future__ import annotations

import pytest

from cells import Bench, BenchCell, text, wait_gone
from processes import descendants, is_alive
from running_server import until

IGNORES = {
    "the interrupt": "signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
    "every signal": "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass",
    "the exception": "while True:\n    try:\n        signal.pause()\n    except BaseException:\n        pass",
    "its end": "import threading\nthreading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()\nwhile True:\n    pass",
}
FORKS = """
signal.signal(signal.SIGINT, signal.SIG_IGN)
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
SHELL_THAT_STAYS = "trap '' INT TERM HUP; while :; do :; done"
ORPHAN = "setsid sh -c 'trap \"\" HUP TERM; exec sleep 1000' >/dev/null 2>&1 & echo started"
DAEMON = """
child = os.fork()
if child == 0:
    os.setsid()
    if os.fork() == 0:
        signal.pause()
    os._exit(0)
os.waitpid(child, 0)
print("started")
"""


@pytest.mark.parametrize("code", IGNORES.values(), ids=IGNORES)
def test_code_that_refuses_to_end_is_ended(cell: BenchCell, code: str) -> None:
    assert text(cell.run("import os, signal\nprint(os.getpid() > 1)", timeout_seconds=5)) == "True"
    run = cell.run(f"import os, signal\n{code}", timeout_seconds=0.5)
    assert run.outcome == "timeout"
    assert run.seconds < 10
    assert cell.probe("print('alive')") == "alive"


def test_a_shell_that_refuses_to_end_is_ended(cell: BenchCell) -> None:
    run = cell.command(SHELL_THAT_STAYS, timeout_seconds=0.5)
    assert run.outcome == "timeout"
    assert run.seconds < 10
    assert cell.shell("echo alive") == "alive"


def test_endless_forking_ends_with_the_call(strong: Bench) -> None:
    with strong.cell(process_count=48) as cell:
        run = cell.run(f"import os, signal\n{FORKS}", timeout_seconds=1)
        assert run.outcome in ("timeout", "killed")
        assert cell.probe("print('alive')") == "alive"
        assert cell.shell("echo alive") == "alive"


@pytest.mark.parametrize("start", ["command", "code"])
def test_an_orphan_that_outlives_its_call_dies_with_its_session(strong: Bench, start: str) -> None:
    with strong.cell() as cell:
        before = descendants(cell.pid)
        assert (cell.shell(ORPHAN) if start == "command" else cell.probe(DAEMON)) == "started"
        left = until(lambda: descendants(cell.pid) - before)  # a look while its parent ends may miss it
        assert any(is_alive(pid) for pid in left)
    assert all(wait_gone(pid) for pid in left)


def test_orphans_count_against_their_own_session_only(strong: Bench) -> None:
    with strong.cell(process_count=40) as attacker, strong.cell(process_count=40) as other:
        attacker.command("for i in $(seq 100); do setsid sleep 1000 >/dev/null 2>&1 & done", timeout_seconds=5)
        assert other.shell("sh -c 'echo alive'") == "alive"
        assert len(descendants(attacker.pid)) <= 40
