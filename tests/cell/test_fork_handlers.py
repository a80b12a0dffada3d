"""Handlers of forks: left out where a cell is made, kept for what users fork."""

from __future__ import annotations

import subprocess
import sys

import cellblock_cell.fork_handlers

PROGRAM = """
import os, sys
from cellblock_cell.fork_handlers import HANDLERS
HANDLERS.gather()
import logging
said = []
before, parent, child, later = (lambda word=word: said.append(word) for word in ("before", "parent", "child", "later"))
os.register_at_fork(before=before, after_in_parent=parent, after_in_child=child)
HANDLERS.release()
os.register_at_fork(before=later)

def forked():
    before = len(said)
    if os.fork() == 0:
        print(*said[before:], flush=True)
        os._exit(0)
    os.wait()
    return said[before:]

print(*forked(), flush=True)
getattr(HANDLERS, sys.argv[1])()
print(*forked(), flush=True)
HANDLERS.leave_none_out()
print(*forked(), flush=True)
"""
WHOLE = ["later before child", "later before parent"]


def lines(mode: str) -> list[str]:
    package = cellblock_cell.fork_handlers.__file__.rsplit("/", 2)[0]
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {package!r})\n{PROGRAM}", mode]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def test_an_agents_fork_calls_no_library_and_the_next_fork_calls_all() -> None:
    assert lines("leave_all_out") == [*WHOLE, "later", "later", *WHOLE]


def test_a_kernels_fork_leaves_out_only_what_renews_locks() -> None:
    assert lines("leave_locks_out") == [*WHOLE, *WHOLE, *WHOLE]
