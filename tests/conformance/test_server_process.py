"""The process `cellblock serve`: ready, drained, killed, restarted."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conformance.raw_http import send
from processes import descendants, is_alive
from running_server import BUILT_IN, CELLBLOCK, RunningServer, environment, refused, serving, until


def cellblock(*arguments: object, **settings: object) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run([CELLBLOCK, *map(str, arguments)], env=environment(**settings), capture_output=True, text=True, timeout=60)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_ready_line_says_where_it_listens_and_it_does(server: RunningServer) -> None:
    assert send(server, "GET", "/ping", sign=False).status == 200


def test_ping_says_how_many_sessions_live(server: RunningServer) -> None:
    with server.session():
        assert send(server, "GET", "/ping", sign=False).json["sessions"] >= 1


def test_fresh_data_directory_is_made_and_is_its_owner_s_alone(data_dir: Path) -> None:
    with serving(data_dir / "deep" / "er") as server:
        assert server.start().printed("print('ready')") == "ready"
    secrets = [path for path in data_dir.rglob("*") if path.is_file() and "credentials" in path.name]
    assert secrets
    assert all(path.stat().st_mode & 0o077 == 0 for path in secrets)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_lets_a_running_call_finish_and_leaves_no_process(data_dir: Path, number: signal.Signals) -> None:
    with serving(data_dir) as server, ThreadPoolExecutor() as pool:
        session = server.start()
        call = pool.submit(session.run, "open('started', 'w').close()\nimport select\nselect.select([], [], [], 1)\nprint('done')")
        until(lambda: session.invoke("listFiles")["content"])
        below = descendants(server.process.pid)
        server.process.send_signal(number)
        assert call.result(timeout=20)["structuredContent"]["stdout"].endswith("done")
        assert server.process.wait(20) == 0
        assert below
        assert not below & descendants(os.getpid())


def test_signal_ends_a_call_that_outlives_the_drain(data_dir: Path) -> None:
    with serving(data_dir, drain_seconds=0) as server, ThreadPoolExecutor() as pool:
        session = server.start()
        call = pool.submit(session.refused, "executeCommand", command="touch started; exec sleep 1000")
        until(lambda: session.invoke("listFiles")["content"])
        server.process.send_signal(signal.SIGTERM)
        assert "is not active" in call.result(timeout=20)["Error"]["Message"]
        assert server.process.wait(20) == 0


def test_second_signal_does_not_wait_for_the_call(data_dir: Path) -> None:
    with serving(data_dir, drain_seconds=3600) as server, ThreadPoolExecutor() as pool:
        session = server.start()
        pool.submit(session.refused, "executeCommand", command="touch started; exec sleep 1000")
        until(lambda: session.invoke("listFiles")["content"])
        server.process.send_signal(signal.SIGTERM)
        until(lambda: is_draining(server))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0


def is_draining(server: RunningServer) -> bool:
    """Whether it takes no new session any more; one that it took is left to its end."""
    try:
        server.start(sessionTimeoutSeconds=1)
    except server.data.exceptions.ThrottlingException:
        return True
    return False


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, str, str]]:
    """A server that was started again after a kill -9, with the interpreter and the session that it had before."""
    data_dir = tmp_path_factory.mktemp("killed") / "data"
    with serving(data_dir) as server:
        interpreter = server.create("kept", description="before the kill", tags={"a": "b"})["codeInterpreterId"]
        session = server.start(interpreter=interpreter, name="running")
        session.printed("x = 1")
        below = descendants(server.process.pid)
        server.process.kill()
        server.process.wait(20)
        until(lambda: not any(is_alive(pid) for pid in below))
    with serving(data_dir) as again:
        yield again, interpreter, session.id


def test_kill_leaves_no_process_behind(killed: tuple[RunningServer, str, str]) -> None:
    server, _, _ = killed
    assert server.process.poll() is None, "the fixture waited until every process of the killed one was gone"


def test_kill_loses_no_interpreter(killed: tuple[RunningServer, str, str]) -> None:
    server, interpreter, _ = killed
    found = server.control.get_code_interpreter(codeInterpreterId=interpreter)
    assert (found["name"], found["description"], found["status"]) == ("kept", "before the kill", "READY")


def test_sessions_of_a_killed_server_are_terminated(killed: tuple[RunningServer, str, str]) -> None:
    server, interpreter, session_id = killed
    found = server.data.get_code_interpreter_session(codeInterpreterIdentifier=interpreter, sessionId=session_id)
    assert (found["status"], found["name"]) == ("TERMINATED", "running")


def test_call_in_a_session_of_a_killed_server_is_told_so(killed: tuple[RunningServer, str, str]) -> None:
    server, interpreter, session_id = killed
    error = refused(
        server.data.invoke_code_interpreter, codeInterpreterIdentifier=interpreter, sessionId=session_id, name="listFiles", arguments={}
    )
    assert error["Error"]["Code"] == "ValidationException"
    assert f"session {session_id} is not active" in error["Error"]["Message"]
    assert "server" in error["Error"]["Message"]


def test_access_key_stays_the_same_over_a_restart(killed: tuple[RunningServer, str, str]) -> None:
    server, _, _ = killed
    with server.session() as session:
        assert session.printed("print('again')") == "again"


def test_sessions_of_a_stopped_server_are_terminated_with_that_reason(data_dir: Path) -> None:
    with serving(data_dir) as server:
        session = server.start()
    with serving(data_dir) as again:
        error = refused(again.data.invoke_code_interpreter, **session.named, name="listFiles", arguments={})
        assert "server stopped" in error["Error"]["Message"]


def test_second_server_on_the_same_data_directory_is_refused(server: RunningServer) -> None:
    ended = cellblock("serve", "--port", 0, "--data-dir", server.data_dir)
    assert ended.returncode == 1
    assert str(server.data_dir) in ended.stderr
    assert "Traceback" not in ended.stderr
    assert server.control.get_code_interpreter(codeInterpreterId=BUILT_IN)["status"] == "READY"


def test_port_in_use_is_refused_with_the_address(server: RunningServer, data_dir: Path) -> None:
    port = server.url.rpartition(":")[2]
    ended = cellblock("serve", "--port", port, "--data-dir", data_dir)
    assert ended.returncode == 1
    assert port in ended.stderr
    assert "Traceback" not in ended.stderr


def test_two_servers_on_two_data_directories_run_side_by_side(server: RunningServer, data_dir: Path) -> None:
    with serving(data_dir) as other, other.session() as session, server.session() as here:
        assert (session.printed("print(1)"), here.printed("print(2)")) == ("1", "2")


def test_key_of_one_server_is_unknown_to_another(server: RunningServer, data_dir: Path) -> None:
    with serving(data_dir) as other:
        stranger = server.client("bedrock-agentcore-control", key_id=other.key_id, secret=other.secret)
        assert refused(stranger.list_code_interpreters)["Error"]["Code"] == "UnrecognizedClientException"


@pytest.mark.parametrize(("name", "value"), [("MAX_SESSIONS", "many"), ("MAX_SESSION", "1"), ("ACCOUNT", "12")])
def test_setting_that_is_wrong_is_told_in_one_line(data_dir: Path, name: str, value: str) -> None:
    ended = cellblock("serve", "--port", 0, "--data-dir", data_dir, **{name: value})
    assert ended.returncode == 1
    assert f"CELLBLOCK_{name}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_log_holds_neither_code_nor_secrets(data_dir: Path) -> None:
    with serving(data_dir) as server, server.session() as session:
        session.printed("print('marzipan')")
        session.write(sesame="open")
        secret = server.secret
    log = data_dir.with_suffix(".log").read_text()
    assert session.id in log
    assert not [word for word in ("marzipan", "sesame", secret) if word in log]
