"""What a call in a session that is over, unknown or another's is told."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

from running_server import BUILT_IN, RunningServer, ServedSession, refused, until

ENDED_AT = r"it ended at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"


def list_files(server: RunningServer, *, interpreter: str = BUILT_IN, **session: str) -> dict[str, str]:
    """The error of a call of listFiles."""
    error = refused(server.data.invoke_code_interpreter, codeInterpreterIdentifier=interpreter, name="listFiles", arguments={}, **session)
    found: dict[str, str] = error["Error"]
    return found


def test_stopped_session_is_not_active_and_the_message_says_why_and_when(server: RunningServer) -> None:
    session = server.start()
    session.stop()
    error = list_files(server, sessionId=session.id)
    assert error["Code"] == "ValidationException"
    expected = rf"SessionNotFoundException: Code interpreter session {session.id} is not active: {ENDED_AT} \(stopped\).*"
    assert re.fullmatch(expected, error["Message"])


def test_expired_session_is_not_active_and_the_message_says_that_its_time_was_over(server: RunningServer) -> None:
    session = server.start(sessionTimeoutSeconds=1)
    until(lambda: session.get()["status"] == "TERMINATED", seconds=10)
    error = list_files(server, sessionId=session.id)
    assert error["Code"] == "ValidationException"
    assert re.search(rf"session {session.id} is not active: {ENDED_AT} \(expired: .*1 second", error["Message"])


def test_every_tool_is_refused_in_a_session_that_is_over(server: RunningServer) -> None:
    session = server.start()
    session.stop()
    for tool in ("executeCode", "executeCommand", "startCommandExecution", "getTask", "stopTask", "writeFiles", "readFiles", "removeFiles"):
        assert "is not active" in session.refused(tool)["Error"]["Message"], tool


def test_call_that_runs_when_its_session_is_stopped_is_told_so(server: RunningServer) -> None:
    session = server.start()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(session.refused, "executeCommand", command="touch started; exec sleep 60")
        until(lambda: session.invoke("listFiles")["content"])
        session.stop()
        error = running.result(timeout=20)
    assert error["Error"]["Code"] == "ValidationException"
    assert f"session {session.id} is not active" in error["Error"]["Message"]


def test_call_that_runs_when_its_session_expires_keeps_its_output(server: RunningServer) -> None:
    session = server.start(sessionTimeoutSeconds=2)
    result = session.command("echo before; exec sleep 60")
    assert (result["isError"], result["structuredContent"]["exitCode"]) == (True, 124)
    assert result["structuredContent"]["stdout"] == "before"


def test_unknown_session_is_not_found(server: RunningServer) -> None:
    error = list_files(server, sessionId="0" * 26)
    assert error["Code"] == "ResourceNotFoundException"
    assert "is not active" not in error["Message"]


def test_session_under_another_interpreter_s_name_is_not_found(server: RunningServer, session: ServedSession) -> None:
    other = server.create(f"other_{uuid4().hex[:12]}")["codeInterpreterId"]
    assert list_files(server, interpreter=other, sessionId=session.id)["Code"] == "ResourceNotFoundException"


def test_unknown_interpreter_is_not_found(server: RunningServer, session: ServedSession) -> None:
    assert list_files(server, interpreter="nothing-0123456789", sessionId=session.id)["Code"] == "ResourceNotFoundException"


def test_call_without_a_session_is_invalid(server: RunningServer) -> None:
    error = refused(server.data.invoke_code_interpreter, codeInterpreterIdentifier=BUILT_IN, name="listFiles", arguments={})
    assert error["Error"]["Code"] == "ValidationException"
    assert [field["name"] for field in error["fieldList"]] == ["sessionId"]
    assert "is not active" not in error["Error"]["Message"]


def test_stop_ends_every_process_of_the_session(server: RunningServer) -> None:
    session = server.start()
    mark = f"31{uuid4().int % 10**12}"
    session.invoke("startCommandExecution", command=f"setsid sleep {mark} & sleep {mark}")
    until(lambda: len(running(mark)) >= 2)
    session.stop()
    assert running(mark) == []


def running(mark: str) -> list[bytes]:
    """The sleeps of that many seconds on this machine."""
    commands = (_command_line(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [command for command in commands if command == b"sleep\0" + mark.encode() + b"\0"]


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return b""
