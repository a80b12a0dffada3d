"""The operator's socket tells of live sessions and stops them, for the server's user and root alone."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from pathlib import Path

import pytest

from cellblock.machine.endpoint import OPERATOR_SOCKET_NAME, NoServer
from cellblock.terminal.operator_client import OperatorClient, OperatorRefused
from service.served import Served, off_loop, serving

ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    connection.sendall(b"GET /server HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    print(connection.recv(15).decode())
"""
EVERYBODYS_PYTHON = Path("/usr/bin/python3")


async def test_live_sessions_are_told_with_memory_cpu_and_age(served: Served) -> None:
    session = await served.start(name="mine")
    await session.run("print(1)")
    found = await off_loop(OperatorClient(served.data_dir).server)
    (one,) = found["sessions"]
    assert (one["sessionId"], one["name"], one["account"], one["state"]) == (session.id, "mine", served.key.account, "READY")
    assert (one["memoryBytes"], one["cpuSeconds"], one["processes"], one["calls"]) == (10 * 1024 * 1024, 0.25, 2, 0)
    assert one["ageSeconds"] >= 0
    assert 0 < one["secondsLeft"] <= 900


async def test_operator_stops_a_session_and_the_audit_log_says_who(served: Served) -> None:
    session = await served.start()
    done = await off_loop(OperatorClient(served.data_dir).stop, session.id)
    assert (done["state"], done["reason"]) == ("TERMINATED", "stopped by the operator")
    assert (await session.get())["status"] == "TERMINATED"
    assert "stopped by the operator" in (await session.refused("executeCode", code="1", language="python"))["message"]
    lines = [json.loads(line) for line in (served.data_dir / "logs" / "audit.jsonl").read_text().splitlines()]
    (line,) = [line for line in lines if line["operation"] == "OperatorStopSession"]
    assert (line["who"], line["session"]) == (f"user id {os.geteuid()} of this machine", session.id)


async def test_unknown_session_is_refused_by_name(served: Served) -> None:
    with pytest.raises(OperatorRefused, match="no session NONE lives"):
        await off_loop(OperatorClient(served.data_dir).stop, "NONE")


async def test_socket_is_gone_with_the_server(data_dir: Path) -> None:
    async with serving(data_dir):
        assert (data_dir / OPERATOR_SOCKET_NAME).stat().st_mode & 0o777 == 0o600
    assert not (data_dir / OPERATOR_SOCKET_NAME).exists()
    with pytest.raises(NoServer):
        OperatorClient(data_dir).server()


@pytest.mark.root
@pytest.mark.skipif(not EVERYBODYS_PYTHON.exists(), reason="needs a Python that every user may run (apt install python3)")
async def test_another_user_is_turned_away_even_where_the_files_let_it_in(data_dir: Path) -> None:
    async with serving(data_dir) as served:
        place = data_dir / OPERATOR_SOCKET_NAME
        place.chmod(0o666)
        for directory in (data_dir, *data_dir.parents):
            if directory != Path("/") and directory.stat().st_uid == 0 and not directory.stat().st_mode & 0o001:
                directory.chmod(directory.stat().st_mode | 0o011)
        assert await off_loop(_asked_by, 0, place) == "HTTP/1.1 200 OK"
        assert not (await off_loop(_asked_by, pwd.getpwnam("nobody").pw_uid, place)).startswith("HTTP")
        assert served.node.cells


def _asked_by(user_id: int, place: Path) -> str:
    """The beginning of what a process of this user gets."""
    command = [EVERYBODYS_PYTHON, "-c", ASK, place]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, user=user_id)
    return done.stdout.strip() or done.stderr.splitlines()[-1]
