"""Processes without end would leave the host, and every other session, none to start."""

from __future__ import annotations

from cells import Bench
from processes import is_alive

COUNT = """
made = []
try:
    for _ in range(150):
        child = os.fork()
        if child == 0:
            signal.pause()
        made.append(child)
except BlockingIOError:
    pass
print(len(made))
for child in made:
    os.kill(child, 9)
"""
BOMB = "bomb() { bomb | bomb & }; bomb"


def test_processes_are_bounded(strong: Bench) -> None:
    with strong.cell(process_count=400) as roomy, strong.cell(process_count=64) as tight:
        assert roomy.probe(COUNT) == "150"
        assert 30 < int(tight.probe(COUNT)) < 64


def test_a_bomb_goes_off_in_its_own_cell_only(strong: Bench) -> None:
    with strong.cell(process_count=64) as attacker, strong.cell(process_count=64) as other:
        under_way = attacker.begin_command(BOMB, timeout_seconds=3)
        assert other.run("print(6 * 7)", timeout_seconds=10).stdout == b"42\n"
        assert other.shell("echo alive") == "alive"
        pid = attacker.pid
        under_way.result(30)
    assert not is_alive(pid)
