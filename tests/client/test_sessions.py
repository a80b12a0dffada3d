"""`cellblock.client` for plain Python: sessions, typed results, output while it comes, tasks and errors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from cellblock.client import Client, ClientError, ConnectionFailed, Output, Result, RunFailed, Server, ServiceError, Session
from running_server import BUILT_IN, RunningServer, until


def test_result_has_text_streams_exit_code_and_time(session: Session) -> None:
    result = session.run("import sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7")
    assert (result.text, result.stdout, result.stderr, result.exit_code, result.error) == ("out\n42\nerr", "out\n42", "err", 0, None)
    assert (result.seconds or 0) > 0
    assert str(result) == result.text


def test_variables_stay_and_languages_are_chosen(session: Session) -> None:
    session.run("x = 20")
    assert session.run("x * 2 + 2").text == "42"
    assert session.run("const n: number = 42; console.log(n)", "typescript").text == "42"
    assert session.run("'x' in globals()", clearContext=True).text == "False"


def test_failure_is_told_and_raised_on_request(session: Session) -> None:
    result = session.run("1 / 0")
    assert (result.exit_code, result.is_error) == (1, True)
    assert "ZeroDivisionError" in (result.error or "")
    with pytest.raises(RunFailed, match="ZeroDivisionError") as caught:
        result.raise_for_error()
    assert caught.value.result is result
    assert session.run("1").raise_for_error().text == "1"


def test_pictures_are_bytes(session: Session) -> None:
    (image,) = session.run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()").images
    assert (image.mime_type, image.data[:4]) == ("image/png", b"\x89PNG")


def test_command_has_its_exit_code(session: Session) -> None:
    result = session.command("echo out; echo err >&2; exit 3")
    assert (result.stdout, result.stderr, result.exit_code, result.error) == ("out", "err", 3, "err")


def test_output_is_read_while_it_comes(session: Session) -> None:
    items = session.stream("import os, time\nprint('waiting')\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\nprint('went')")
    assert next(items) == Output("stdout", "waiting\n")
    session.write("go", "")
    *pieces, result = items
    assert pieces == [Output("stdout", "went\n")]
    assert isinstance(result, Result)
    assert result.text == "waiting\nwent"


def test_reader_that_stops_interrupts_the_run(session: Session) -> None:
    items = session.stream("import time\nprint('up')\ntry:\n    time.sleep(1000)\nfinally:\n    open('interrupted', 'w').close()")
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert until(lambda: [entry.name for entry in session.files()]) == ["interrupted"]


def test_output_is_given_to_a_function(session: Session) -> None:
    heard: list[Output] = []
    result = session.command("echo out; echo err >&2; exit 3", on_output=heard.append)
    assert sorted((piece.stream, piece.text) for piece in heard) == [("stderr", "err\n"), ("stdout", "out\n")]
    assert result.exit_code == 3


def test_large_output_arrives_whole_either_way(session: Session) -> None:
    command = "head -c 9000000 /dev/zero | tr '\\0' x"
    heard: list[Output] = []
    assert session.command(command).text == session.command(command, on_output=heard.append).text == "x" * 9_000_000
    assert sum(len(piece.text) for piece in heard) == 9_000_000


def test_task_is_started_asked_about_and_stopped(session: Session) -> None:
    task = session.start_task("echo begun; exec sleep 1000")
    assert until(lambda: task.status().stdout) == "begun"
    assert task.status().task_status == "working"
    task.stop()
    with pytest.raises(RunFailed, match="cannot be canceled"):
        task.stop()


def test_any_tool_is_there_by_its_name(session: Session) -> None:
    session.write("a/b.txt", "häßlich")
    result = session.invoke("readFiles", paths=["a/b.txt"])
    assert [(file.path, file.text) for file in result.files] == [("a/b.txt", "häßlich")]


def test_session_is_stopped_with_its_block(client: Client, running: RunningServer) -> None:
    with client.session(name="mine", timeout_seconds=77) as session:
        named = {"codeInterpreterIdentifier": BUILT_IN, "sessionId": session.id}
        found = running.data.get_code_interpreter_session(**named)
        assert (found["name"], found["sessionTimeoutSeconds"], found["status"]) == ("mine", 77, "READY")
    assert running.data.get_code_interpreter_session(**named)["status"] == "TERMINATED"
    with pytest.raises(ClientError, match="not started"):
        session.run("1")


def test_session_that_ended_by_itself_leaves_its_block_quietly(client: Client, running: RunningServer) -> None:
    with client.session() as session:
        running.data.stop_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN, sessionId=session.id)
        with pytest.raises(ServiceError, match="is not active") as caught:
            session.run("1")
    assert (caught.value.code, caught.value.status) == ("ValidationException", 400)
    assert caught.value.request_id


def test_error_in_the_middle_of_output_is_raised(client: Client, running: RunningServer) -> None:
    with client.session() as session:
        items = session.stream("import time\nprint('up')\ntime.sleep(1000)")
        next(items)
        running.data.stop_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN, sessionId=session.id)
        with pytest.raises(ServiceError, match="is not active"):
            list(items)


def test_wrong_secret_is_told_by_its_code(server: Server) -> None:
    with pytest.raises(ServiceError, match="InvalidSignatureException"), Client(Server(server.url, server.key_id, "wrong" * 8)).session():
        pass


def test_server_that_is_not_there_is_named() -> None:
    nowhere = Client(Server("http://127.0.0.1:9", "A", "B"))
    with pytest.raises(ConnectionFailed, match=r"no server answers at http://127\.0\.0\.1:9"), nowhere.session():
        pass


def test_one_client_serves_many_threads(client: Client) -> None:
    def double(number: int) -> str:
        with client.session() as session:
            return session.run(f"{number} * 2").text

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(double, range(16))) == [str(number * 2) for number in range(16)]


def test_secret_is_not_shown() -> None:
    assert "hidden" not in repr(Server("http://x", "key", "hidden"))
