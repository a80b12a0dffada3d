"""The server's own limit of open files: taken whole at the start, and survived when it is reached."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from endurance.process_tree import agents_of
from running_server import BUILT_IN, RunningServer, serving, until

SOFT = 256


@pytest.fixture
def low_soft_limit() -> Iterator[None]:
    """What a shell gives: the soft limit far below the hard one; the server inherits it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("low_soft_limit")
def test_the_server_takes_what_the_hard_limit_allows(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard > SOFT


def start_until_refused(server: RunningServer) -> str:
    """Starts sessions one after the other; the message of the first refusal."""
    for _ in range(100):
        try:
            server.start()
        except ClientError as error:
            return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
    return ""


def test_a_server_at_its_limit_says_so_keeps_its_sessions_and_starts_others_later(tmp_path: Path) -> None:
    with serving(tmp_path / "data", max_sessions=120, pool_size=0) as server, server.session() as session:
        open_now = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (open_now + 20, hard))
        refusal = start_until_refused(server)
        assert refusal.startswith("ThrottlingException: ")
        assert "open files" in refusal
        assert until(lambda: "EMFILE" in (tmp_path / "data.log").read_text())
        assert session.printed("print('still here')") == "still here"
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
        with server.session() as later:
            assert later.printed("print('room again')") == "room again"
        live = server.data.list_code_interpreter_sessions(codeInterpreterIdentifier=BUILT_IN, maxResults=100, status="READY")["items"]
        until(lambda: len(agents_of(server.process.pid)) == len(live))
