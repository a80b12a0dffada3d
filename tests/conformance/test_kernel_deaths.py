"""A kernel's death ends its call with the reason; the session, its files and its other processes go on."""

from __future__ import annotations

import pytest

from running_server import ServedSession, texts


@pytest.mark.parametrize(
    ("code", "exit_code", "why"),
    [
        ("import os; os._exit(7)", 7, "7"),
        ("import ctypes; ctypes.string_at(0)", 139, "SIGSEGV"),
        ("import os; os.abort()", 134, "SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143, "SIGTERM"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137, "SIGKILL"),
    ],
)
def test_death_of_the_kernel_is_told_with_its_status_after_what_was_printed(
    session: ServedSession, code: str, exit_code: int, why: str
) -> None:
    result = session.run(f"print('before', flush=True)\n{code}")
    assert (result["isError"], result["structuredContent"]["exitCode"]) == (True, exit_code)
    assert texts(result)[0] == "before"
    assert why in texts(result)[1]
    assert "variables are lost" in texts(result)[1]


@pytest.mark.parametrize("code", ["import os; os._exit(0)", "import ctypes; ctypes.string_at(0)"])
def test_next_call_has_a_fresh_kernel_and_the_files(session: ServedSession, code: str) -> None:
    session.printed("x = 1\nopen('kept', 'w').write('kept')")
    session.run(code)
    assert session.printed("print('x' in globals(), open('kept').read())") == "False kept"


def test_task_survives_the_kernel_s_death(session: ServedSession) -> None:
    task_id = session.invoke("startCommandExecution", command="exec sleep 1000")["structuredContent"]["taskId"]
    session.run("import os; os._exit(1)")
    assert session.invoke("getTask", taskId=task_id)["structuredContent"]["taskStatus"] == "working"


def test_kernel_killed_from_a_command_is_replaced_and_the_next_call_says_so(session: ServedSession) -> None:
    pid = session.printed("import os; print(os.getpid())")
    session.command(f"kill -9 {pid}; while kill -0 {pid}; do :; done")
    result = session.run("print('again')")
    assert result["isError"] is False
    assert texts(result)[0] == "again"
    assert "lost" in texts(result)[1]


@pytest.mark.root
def test_code_that_takes_all_memory_is_killed_and_told_so(session: ServedSession) -> None:
    session.printed("x = 1")
    result = session.run("print('before', flush=True)\nblocks = []\nwhile True:\n    blocks.append(bytearray(b'x' * (16 << 20)))")
    assert result["isError"] is True
    assert "memory" in " ".join(texts(result)).lower()
    assert session.printed("print('x' in globals())") == "False"


@pytest.mark.root
def test_command_that_takes_all_memory_is_killed_and_the_kernel_is_not(session: ServedSession) -> None:
    session.printed("x = 1")
    result = session.command("python -c 'b = []\nwhile True: b.append(bytearray(b\"x\" * (16 << 20)))'")
    assert (result["isError"], result["structuredContent"]["exitCode"]) == (True, 137)
    assert session.printed("print(x)") == "1"


@pytest.mark.parametrize("command", ["kill -9 1", "kill -TERM 1", "kill -INT 1"])
def test_first_process_of_the_session_cannot_be_killed_from_within(session: ServedSession, command: str) -> None:
    session.command(command)
    assert session.printed("print('alive')") == "alive"


def test_session_goes_on_when_every_process_of_its_user_was_killed(session: ServedSession) -> None:
    session.write(kept="1")
    session.command("kill -9 -1")
    session.run("1")  # the kernel may be seen to end under this call
    assert session.printed("print(open('kept').read())") == "1"


def test_code_that_closes_its_streams_does_not_harm_the_next_call(session: ServedSession) -> None:
    session.run("import os, sys\nsys.stdout.close()\nos.close(1)\nos.close(2)")
    assert session.printed("print('back')") == "back"


def test_forked_child_that_returns_from_the_code_does_not_answer_twice(session: ServedSession) -> None:
    assert session.run("import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint('once' if pid else 'child')")["isError"] is False
    assert session.printed("print('next')") == "next"
