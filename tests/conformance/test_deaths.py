"""What dies, what the call is told, what is lost, and that the session or the service goes on."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from processes import every_process, status_of
from running_server import RunningServer, ServedSession, refused, templates_of, texts, until

TOOLS = {
    "executeCode": {"language": "python", "code": "1"},
    "executeCommand": {"command": "true"},
    "startCommandExecution": {"command": "true"},
    "getTask": {"taskId": "0"},
    "stopTask": {"taskId": "0"},
    "writeFiles": {"content": [{"path": "a", "text": "a"}]},
    "readFiles": {"paths": ["a"]},
    "listFiles": {},
    "removeFiles": {"paths": ["a"]},
}
EAT = "import signal; data = bytearray(b'x') * (900 << 20); signal.pause()"


def test_kernel_killed_by_the_memory_limit_names_the_limit_and_what_is_lost(session: ServedSession) -> None:
    session.write(kept="kept")
    result = session.run(EAT)
    said = result["structuredContent"]["stderr"]
    assert (result["isError"], result["structuredContent"]["exitCode"]) == (True, 137)
    assert "memory limit of 512 MB" in said
    assert "variables are lost, files are kept" in said
    assert session.printed("print(open('kept').read())") == "kept"


def test_command_killed_by_the_memory_limit_names_the_limit(session: ServedSession) -> None:
    result = session.command(f'python -c "{EAT}"')
    assert result["structuredContent"]["exitCode"] == 137
    assert "memory limit of 512 MB" in " ".join(texts(result))


def test_kernel_that_killed_itself_is_not_said_to_have_reached_the_limit(session: ServedSession) -> None:
    result = session.run("import os; os.kill(os.getpid(), 9)")
    assert "SIGKILL" in result["structuredContent"]["stderr"]
    assert "limit" not in result["structuredContent"]["stderr"]


def test_full_disk_is_the_codes_own_error(session: ServedSession) -> None:
    session.command("rm -rf /tmp/*")
    result = session.run("open('/tmp/big', 'wb').write(bytes(200 << 20))")
    assert result["isError"] is True
    assert "No space left on device" in " ".join(texts(result))
    assert session.printed("print('alive')") == "alive"


def test_dead_template_is_replaced_for_the_next_session_and_harms_no_other(server: RunningServer, session: ServedSession) -> None:
    session.printed("x = 1")
    dead = templates_of(server)
    for template in dead:
        os.kill(template, signal.SIGKILL)
    until(lambda: not any(Path(f"/proc/{template}").exists() for template in dead))
    with ExitStack() as together:
        for _ in range(4 * len(dead)):  # more than the pools hold
            later = together.enter_context(server.session())
            assert later.printed("print('later')") == "later"
    assert session.printed("print(x)") == "1"
    assert not set(templates_of(server)) & set(dead)


@pytest.mark.parametrize("reason", ["its first process ended", "stopped", "its lifetime of 1 seconds was over"])
def test_session_that_is_over_keeps_its_reason_and_every_later_error_names_it(server: RunningServer, reason: str) -> None:
    session = server.start(sessionTimeoutSeconds=1 if "lifetime" in reason else 600)
    if "process" in reason:
        os.kill(agent_of(server, session), signal.SIGKILL)
    elif reason == "stopped":
        session.stop()
    until(lambda: session.get()["status"] == "TERMINATED")
    for tool, arguments in TOOLS.items():
        assert f"{reason})" in session.refused(tool, **arguments)["Error"]["Message"], tool
    stopping = refused(session.client.stop_code_interpreter_session, **session.named)
    assert stopping["Error"]["Message"].endswith(f"{reason})")
    with server.session() as other:
        assert other.printed("print('alive')") == "alive"


def agent_of(server: RunningServer, session: ServedSession) -> int:
    """The cell's first process as the host has it. A cell whose template was killed is no longer below the server."""
    mark = f"mark-{session.id}"
    session.write(**{mark: "here"})

    def found() -> int:
        return next((pid for pid in every_process() if is_first(pid) and has_file(pid, mark)), 0)

    return until(found)


def has_file(pid: int, name: str) -> bool:
    """Whether it is in the workspace as a process sees it; another user's processes are not for us to look at."""
    try:
        return Path(f"/proc/{pid}/root/workspace/{name}").exists()
    except OSError:
        return False


def is_first(pid: int) -> bool:
    """Whether it is the first process of a PID namespace within this one."""
    ids = status_of(pid).get("NSpid", "").split()
    return len(ids) > 1 and ids[-1] == "1"
