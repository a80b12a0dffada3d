"""The commands that people use beside a running server, as they type them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cellblock.runtime.builds import Runtime
from cellblock.terminal.output import plain, terminal_text
from running_server import CELLBLOCK, RunningServer, environment, serving, until

COMPLETE = {"_CELLBLOCK_COMPLETE": "bash_complete"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, built_runtime: Runtime) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("people") / "data") as running:
        yield running


def typed(server: RunningServer, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [CELLBLOCK, *words, "--data-dir", server.data_dir]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment() | more)


def told(server: RunningServer, *words: str) -> Any:
    done = typed(server, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_interpreter_is_made_shown_listed_and_deleted(server: RunningServer) -> None:
    made = typed(server, "interpreters", "create", "mine", "--description", "for tests", "--tag", "cellblock:memory-mb=256")
    id = made.stdout.strip()
    assert (made.returncode, id[:5]) == (0, "mine-")
    assert told(server, "interpreters", "show", id)["description"] == "for tests"
    assert id in typed(server, "interpreters", "list").stdout
    assert {one["codeInterpreterId"] for one in told(server, "interpreters", "list")} >= {id, "aws.codeinterpreter.v1"}
    assert typed(server, "interpreters", "delete", id).stdout == f"interpreter {id} is deleted\n"
    assert id not in typed(server, "interpreters", "list").stdout


def test_refusal_of_the_server_is_one_line_and_status_1(server: RunningServer) -> None:
    done = typed(server, "interpreters", "show", "missing-0123456789")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "cellblock: code interpreter missing-0123456789 does not exist in this account (ResourceNotFoundException)\n"


def test_environment_names_the_server_as_env_prints_it(server: RunningServer) -> None:
    done = subprocess.run(
        [CELLBLOCK, "interpreters", "list", "--json"], capture_output=True, text=True, timeout=60, env=server.client_environment()
    )
    assert "aws.codeinterpreter.v1" in done.stdout


def test_live_session_is_listed_with_its_memory_cpu_and_age(server: RunningServer) -> None:
    with server.session(name="measured") as session:
        session.run("data = bytearray(b'x') * (100 << 20)\nfor _ in range(5_000_000): pass")
        (one,) = [one for one in told(server, "sessions", "list") if one["sessionId"] == session.id]
        assert (one["name"], one["state"], one["calls"]) == ("measured", "READY", 0)
        assert one["memoryBytes"] > 100 * 1024 * 1024
        assert 0.05 < one["cpuSeconds"] < 60
        assert one["processes"] >= 2
        line = next(line for line in typed(server, "sessions", "list").stdout.splitlines() if session.id in line)
        assert " MB" in line
        assert " s" in line


def test_session_that_was_stopped_is_listed_with_the_reason(server: RunningServer) -> None:
    session = server.start()
    assert typed(server, "sessions", "stop", session.id).stdout == f"session {session.id} is stopped\n"
    (one,) = [one for one in told(server, "sessions", "list", "--all") if one["sessionId"] == session.id]
    assert (one["state"], one["reason"]) == ("TERMINATED", "stopped by the operator")
    assert session.id not in typed(server, "sessions", "list").stdout
    done = typed(server, "sessions", "stop", session.id)
    assert (done.returncode, done.stderr) == (1, f"cellblock: no session {session.id} lives on this server\n")


def test_watch_shows_the_processors_that_a_session_uses(server: RunningServer) -> None:
    with server.session() as session:
        session.invoke("startCommandExecution", command="while :; do :; done")
        done = typed(server, "sessions", "watch", "--json", "--interval", "1", "--times", "2")
        first, second = (json.loads(line) for line in done.stdout.splitlines())
        (before,) = [one for one in first["sessions"] if one["sessionId"] == session.id]
        (after,) = [one for one in second["sessions"] if one["sessionId"] == session.id]
        assert before["cpus"] is None
        assert 0.1 < after["cpus"] < 1.5
        assert session.id in typed(server, "sessions", "watch", "--times", "1").stdout


def test_watch_ends_at_an_interrupt_with_status_0(server: RunningServer) -> None:
    command = [CELLBLOCK, "sessions", "watch", "--data-dir", server.data_dir]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stdout is not None
        assert "cells ready" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


def test_commands_of_the_operator_name_the_next_step_without_a_server(tmp_path: Path) -> None:
    for words in (("sessions", "list"), ("interpreters", "list")):
        done = subprocess.run([CELLBLOCK, *words, "--data-dir", tmp_path], capture_output=True, text=True, timeout=60, env=environment())
        assert done.returncode == 1
        assert f"start one with: cellblock serve --data-dir {tmp_path}" in done.stderr
        assert done.stderr.count("\n") == 1


def test_logs_are_shown_by_session_request_and_level(server: RunningServer) -> None:
    with server.session() as session:
        answer = session.answer("executeCode", language="python", code="1")
        request = answer["ResponseMetadata"]["RequestId"]
    log = server.data_dir / "logs" / "server.jsonl"
    until(lambda: request in log.read_text())
    (line,) = typed(server, "logs", "--request", request).stdout.splitlines()
    assert "operation=" not in line
    assert "InvokeCodeInterpreter" in line
    assert f"session={session.id}" in line
    lines = [json.loads(line) for line in typed(server, "logs", "--session", session.id, "--json").stdout.splitlines()]
    assert {line["operation"] for line in lines if line["event"] == "request"} >= {"InvokeCodeInterpreter", "StartCodeInterpreterSession"}
    assert typed(server, "logs", "--session", session.id, "--level", "error").stdout == ""


def test_audit_log_is_shown(server: RunningServer) -> None:
    with server.session() as session:
        pass
    shown = typed(server, "logs", "--audit", "--session", session.id).stdout.splitlines()
    assert [line.split()[1] for line in shown] == ["StartCodeInterpreterSession", "SessionEnded", "StopCodeInterpreterSession"]


def test_logs_go_on_as_lines_are_written(server: RunningServer) -> None:
    command = [CELLBLOCK, "logs", "--audit", "--lines", "0", "--follow", "--json", "--data-dir", server.data_dir]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment() | {"PYTHONUNBUFFERED": "1"}) as process:
        try:
            assert process.stdout is not None
            until(lambda: any("audit.jsonl" in link for link in links(process.pid)))
            with server.session() as session:
                assert json.loads(process.stdout.readline())["session"] == session.id
        finally:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


def links(pid: int) -> list[str]:
    """What a process has open."""
    try:
        return [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("cellblock sess", "sessions"),
        ("cellblock sessions w", "watch"),
        ("cellblock interpreters cr", "create"),
        ("cellblock logs --fo", "--follow"),
    ],
)
def test_shell_completes_commands_and_options(words: str, expected: str) -> None:
    variables = environment() | COMPLETE | {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run([CELLBLOCK], capture_output=True, text=True, timeout=60, env=variables)
    assert f"plain,{expected}" in done.stdout.splitlines()


def test_completion_of_commands_imports_none_of_them() -> None:
    code = "import sys, click; from cellblock.cli import commands as c; c.shell_complete(click.Context(c), 'se'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout.split()
    assert not {"sqlalchemy", "uvicorn", "botocore", "rich"} & set(loaded)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_has_lines_for_the_shell(shell: str) -> None:
    done = subprocess.run([CELLBLOCK, "completion", shell], capture_output=True, text=True, timeout=60)
    assert "_CELLBLOCK_COMPLETE" in done.stdout


def test_wrong_use_is_status_2() -> None:
    for words in (("sessions", "stop"), ("logs", "--level", "loud"), ("nonsense",), ("interpreters", "create", "x", "--tag", "y")):
        assert subprocess.run([CELLBLOCK, *words], capture_output=True, text=True, timeout=60).returncode == 2, words


def test_text_of_clients_cannot_steer_a_terminal() -> None:
    assert plain("a\x1b]0;title\x07\nb") == "a\\x1b]0;title\\x07\\nb"
    assert terminal_text("\x1b[31mred\x1b[0m\ttab\nline\x1b[2J\x1b]52;c;x\x07") == "\x1b[31mred\x1b[0m\ttab\nline\\x1b[2J\\x1b]52;c;x\\x07"
