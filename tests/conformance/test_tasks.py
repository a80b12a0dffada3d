"""startCommandExecution, getTask and stopTask: commands that outlive the call that started them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from running_server import Json, ServedSession, texts, until


def start(session: ServedSession, command: str) -> str:
    """A task's id."""
    task_id: str = session.invoke("startCommandExecution", command=command)["structuredContent"]["taskId"]
    return task_id


def status(session: ServedSession, task_id: str) -> str:
    found: str = session.invoke("getTask", taskId=task_id)["structuredContent"]["taskStatus"]
    return found


def finished(session: ServedSession, task_id: str) -> Json:
    """The task's last result."""
    until(lambda: status(session, task_id) != "working")
    return session.invoke("getTask", taskId=task_id)


def test_started_task_has_the_recorded_shape(session: ServedSession) -> None:
    result = session.invoke("startCommandExecution", command="true")
    task_id = result["structuredContent"]["taskId"]
    assert UUID(task_id).version == 4
    assert result == {
        "content": [{"type": "text", "text": "Successfully started a command execution task"}],
        "structuredContent": {"taskId": task_id, "taskStatus": "submitted", "stdout": "", "stderr": ""},
        "isError": False,
    }


def test_task_at_work_shows_its_output_so_far(session: ServedSession) -> None:
    task_id = start(session, "echo one; echo two >&2; exec sleep 1000")
    result = until(lambda: _with_output(session, task_id))
    assert result == {
        "content": [{"type": "text", "text": "Task is working"}],
        "structuredContent": {"taskStatus": "working", "stdout": "one", "stderr": "two"},
        "isError": False,
    }


def _with_output(session: ServedSession, task_id: str) -> Json | None:
    result = session.invoke("getTask", taskId=task_id)
    return result if result["structuredContent"]["stderr"] else None


def test_completed_task_has_its_output_exit_code_and_time(session: ServedSession) -> None:
    result = finished(session, start(session, "echo out; echo err >&2"))
    seconds = result["structuredContent"].pop("executionTime")
    assert result == {
        "content": [{"type": "text", "text": "out"}, {"type": "text", "text": "err"}],
        "structuredContent": {"taskStatus": "completed", "stdout": "out", "stderr": "err", "exitCode": 0},
        "isError": False,
    }
    assert isinstance(seconds, float)


def test_completed_task_that_printed_nothing_has_one_empty_text(session: ServedSession) -> None:
    assert finished(session, start(session, "true"))["content"] == [{"type": "text", "text": ""}]


def test_failed_task_has_its_exit_code(session: ServedSession) -> None:
    structured = finished(session, start(session, "exit 3"))["structuredContent"]
    assert (structured["taskStatus"], structured["exitCode"]) == ("failed", 3)


def test_task_whose_program_is_missing_fails_with_127(session: ServedSession) -> None:
    structured = finished(session, start(session, "no-such-program"))["structuredContent"]
    assert (structured["taskStatus"], structured["exitCode"]) == ("failed", 127)


def test_finished_task_answers_the_same_again(session: ServedSession) -> None:
    task_id = start(session, "echo once")
    assert finished(session, task_id) == session.invoke("getTask", taskId=task_id)


def test_stopped_task_is_canceled(session: ServedSession) -> None:
    task_id = start(session, "exec sleep 1000")
    result = session.invoke("stopTask", taskId=task_id)
    assert (texts(result), result["isError"]) == (["Successfully canceled a command execution task"], False)
    assert status(session, task_id) == "canceled"


def test_stop_keeps_what_was_printed(session: ServedSession) -> None:
    task_id = start(session, "echo before; exec sleep 1000")
    until(lambda: session.invoke("getTask", taskId=task_id)["structuredContent"]["stdout"])
    session.invoke("stopTask", taskId=task_id)
    assert session.invoke("getTask", taskId=task_id)["structuredContent"]["stdout"] == "before"


def test_stop_ends_the_task_s_children(session: ServedSession) -> None:
    task_id = start(session, "sleep 4242 & sleep 4242 & touch started; wait")
    until(lambda: session.invoke("listFiles")["content"])
    session.invoke("stopTask", taskId=task_id)
    code = "import glob\nprint(sum(open(name, 'rb').read() == b'sleep\\x004242\\x00' for name in glob.glob('/proc/[0-9]*/cmdline')))"
    until(lambda: session.printed(code) == "0")  # they have been killed, and die on their own time


@pytest.mark.parametrize(("command", "state"), [("true", "COMPLETED"), ("exit 1", "FAILED")])
def test_stop_of_a_finished_task_is_an_error_that_names_its_state(session: ServedSession, command: str, state: str) -> None:
    task_id = start(session, command)
    finished(session, task_id)
    result = session.invoke("stopTask", taskId=task_id)
    assert result == {
        "content": [{"type": "text", "text": f"Task cannot be canceled (current status: TaskStatus.{state})"}],
        "isError": True,
    }


def test_stopping_twice_is_an_error(session: ServedSession) -> None:
    task_id = start(session, "exec sleep 1000")
    session.invoke("stopTask", taskId=task_id)
    assert texts(session.invoke("stopTask", taskId=task_id)) == ["Task cannot be canceled (current status: TaskStatus.CANCELED)"]


@pytest.mark.parametrize("tool", ["getTask", "stopTask"])
def test_unknown_task_is_an_error_that_names_it(session: ServedSession, tool: str) -> None:
    task_id = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    result = session.invoke(tool, taskId=task_id)
    assert result["isError"] is True
    (text,) = texts(result)
    assert task_id in text
    assert "structuredContent" not in result


def test_task_of_another_session_is_unknown(session: ServedSession) -> None:
    task_id = start(session, "exec sleep 1000")
    with session.server.session() as other:
        assert other.invoke("getTask", taskId=task_id)["isError"] is True


def test_task_outlives_the_calls_after_it(session: ServedSession) -> None:
    task_id = start(session, "mkfifo gate; read line < gate; echo got $line > answer")
    until(lambda: session.invoke("listFiles")["content"])
    session.command("echo word > gate")
    assert finished(session, task_id)["structuredContent"]["taskStatus"] == "completed"
    assert session.printed("print(open('answer').read())") == "got word"


def test_tasks_run_side_by_side_with_code(session: ServedSession) -> None:
    task_id = start(session, "until test -e written-by-code; do :; done; echo seen")
    session.printed("open('written-by-code', 'w').close()")
    assert finished(session, task_id)["structuredContent"]["stdout"] == "seen"


def test_tasks_run_side_by_side_with_each_other(session: ServedSession) -> None:
    session.command("mkfifo gate")
    with ThreadPoolExecutor(2) as pool:
        tasks = list(pool.map(lambda command: start(session, command), ("echo through > gate", "cat gate")))
    assert sorted(finished(session, task)["structuredContent"]["stdout"] for task in tasks) == ["", "through"]


def test_output_of_a_task_is_bounded_and_counted(session: ServedSession) -> None:
    task_id = start(session, "head -c 20000000 /dev/zero | tr '\\0' x; touch done")
    until(lambda: session.invoke("listFiles")["content"])
    structured = finished(session, task_id)["structuredContent"]
    assert structured["stdout"].endswith(f"[{20_000_000 - 10 * 1024 * 1024} bytes of output dropped: it is over the limit]")
