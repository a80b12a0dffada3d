"""kill -9 at random moments under load: nothing acknowledged is lost, nothing is left running, and the next start is clean."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest

from cellblock.machine.data_directory import DATABASE_NAME
from endurance.chaos_load import Ledger, load
from endurance.process_tree import adopt_orphans, agents_of, groups_of, kernels_of, template_of
from processes import children
from running_server import RunningServer, ServedSession, serving, until

SERVER_KILLS = 3
KILLS_BELOW = 10
GONE_SECONDS = 5
POOL = 2
EXPLAINED = (
    "is not active",  # a call in a session whose agent was killed
    "The kernel was killed by SIGKILL",
    "was killed while it started",  # InternalServerException, which clients try again
    "this machine cannot run sessions",  # a template killed while it was made: InternalServerException, which clients try again
)


@pytest.fixture
def random() -> Random:
    """Random moments and victims; the seed is printed when a test fails, and CHAOS_SEED in the environment takes it."""
    seed = int(os.environ.get("CHAOS_SEED", "") or Random().getrandbits(32))
    print(f"CHAOS_SEED={seed}")  # noqa: T201
    return Random(seed)


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def interpreters(server: RunningServer) -> set[str]:
    pages = server.control.get_paginator("list_code_interpreters").paginate()
    return {item["codeInterpreterId"] for page in pages for item in page["codeInterpreterSummaries"]}


def assert_kept(server: RunningServer, ledger: Ledger) -> None:
    """Every acknowledged change is there; every session is over, and a call in it is told why."""
    there = interpreters(server)
    assert ledger.created - ledger.delete_asked <= there
    assert not ledger.deleted & there
    sessions = [ServedSession(server, server.data, interpreter, session) for session, interpreter in ledger.started.items()]
    assert {session.get()["status"] for session in sessions} <= {"TERMINATED"}
    for session in sessions:
        if session.id not in ledger.stop_asked:
            assert "had died" in session.refused("listFiles")["Error"]["Message"]


def test_nothing_acknowledged_is_lost_and_nothing_outlives_a_killed_server(tmp_path: Path, random: Random) -> None:
    others, ledger = adopt_orphans(), Ledger()
    for _ in range(SERVER_KILLS):
        with serving(tmp_path / "data", max_sessions=100) as server:
            assert_kept(server, ledger)
            with load(server, ledger, random.getrandbits(32)):
                ledger.wait_steps(random.randrange(20, 80))
                server.process.kill()
            server.process.wait(10)
            until(lambda: set(children(os.getpid())) <= others, seconds=GONE_SECONDS)
        with closing(sqlite3.connect(tmp_path / "data" / DATABASE_NAME)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with serving(tmp_path / "data") as server:
        assert_kept(server, ledger)
        with server.session() as session:
            assert session.printed("print('clean')") == "clean"
    assert len(ledger.created) >= SERVER_KILLS
    assert len(ledger.started) >= SERVER_KILLS
    assert "Traceback" not in (tmp_path / "data.log").read_text()


def victims(server: int, random: Random) -> list[int]:
    """One process to kill, of a random kind."""
    found: Callable[[int], list[int]] = random.choice([lambda pid: [template_of(pid) or 0], agents_of, agents_of, kernels_of, kernels_of])
    chosen = [pid for pid in found(server) if pid]
    return [random.choice(chosen)] if chosen else []


def cells_of(server: int, others: frozenset[int]) -> set[int]:
    """The cells' first processes: the template's children, and those whose template was killed, which were adopted here."""
    return {*agents_of(server), *children(os.getpid())} - others - {server}


def test_server_goes_on_when_what_is_below_it_is_killed(tmp_path: Path, random: Random) -> None:
    others, ledger = adopt_orphans(), Ledger()
    with serving(tmp_path / "data", max_sessions=100, pool_size=POOL, max_pool_size=0) as server:
        with load(server, ledger, random.getrandbits(32)):
            for _ in range(KILLS_BELOW):
                ledger.wait_steps(random.randrange(3, 15))
                for victim in victims(server.process.pid, random):
                    kill(victim)
            ledger.wait_steps(20)
        unexplained = {problem: count for problem, count in ledger.problems.items() if not any(text in problem for text in EXPLAINED)}
        assert unexplained == {}
        for session_id, interpreter in ledger.started.items():
            ServedSession(server, server.data, interpreter, session_id).end()
        with server.session() as session:
            assert session.printed("print('goes on')") == "goes on"
        until(lambda: len(cells_of(server.process.pid, others)) == POOL)  # a killed template has to be made again first
        assert ledger.created - ledger.delete_asked <= interpreters(server)
        pid = server.process.pid
    until(lambda: set(children(os.getpid())) <= others, seconds=GONE_SECONDS)
    assert groups_of(pid) == []
    assert "Traceback" not in (tmp_path / "data.log").read_text()
