"""executeCommand: a shell for one command, its streams apart, its real exit code."""

from __future__ import annotations

import pytest

from running_server import ServedSession, file_of, texts


def test_command_has_the_shape_of_code(session: ServedSession) -> None:
    result = session.command("echo hello")
    seconds = result["structuredContent"].pop("executionTime")
    assert result == {
        "content": [{"type": "text", "text": "hello"}],
        "structuredContent": {"stdout": "hello", "stderr": "", "exitCode": 0},
        "isError": False,
    }
    assert isinstance(seconds, float)


def test_streams_are_apart_and_in_the_order_stdout_stderr(session: ServedSession) -> None:
    result = session.command("echo err >&2; echo out")
    assert texts(result) == ["out", "err"]
    assert (result["structuredContent"]["stdout"], result["structuredContent"]["stderr"]) == ("out", "err")
    assert result["isError"] is False


def test_lines_end_in_lf(session: ServedSession) -> None:
    assert session.command("printf 'a\\nb\\n'")["structuredContent"]["stdout"] == "a\nb"


def test_failing_command_keeps_its_streams_and_its_exit_code(session: ServedSession) -> None:
    result = session.command("echo out; echo err >&2; exit 3")
    assert texts(result) == ["out", "err"]
    assert (result["isError"], result["structuredContent"]["exitCode"]) == (True, 3)


def test_missing_program_is_127(session: ServedSession) -> None:
    result = session.command("no-such-program --now")
    assert (result["isError"], result["structuredContent"]["exitCode"]) == (True, 127)
    assert "no-such-program" in result["structuredContent"]["stderr"]


def test_command_killed_by_a_signal_is_128_and_its_number(session: ServedSession) -> None:
    assert session.command("kill -9 $$")["structuredContent"]["exitCode"] == 137


def test_command_that_prints_nothing_gives_one_empty_text(session: ServedSession) -> None:
    assert session.command("true")["content"] == [{"type": "text", "text": ""}]


def test_there_is_no_terminal(session: ServedSession) -> None:
    assert session.command("test -t 0 || test -t 1 || test -t 2")["structuredContent"]["exitCode"] == 1


def test_standard_input_is_empty(session: ServedSession) -> None:
    assert session.command("wc -c")["structuredContent"]["stdout"] == "0"


def test_directory_and_variables_do_not_last(session: ServedSession) -> None:
    before = session.command("pwd")["structuredContent"]["stdout"]
    session.command("mkdir -p sub; cd sub; export COLOUR=red; alias ll=ls")
    result = session.command("pwd; echo ${COLOUR:-none}")
    assert result["structuredContent"]["stdout"].split() == [before, "none"]


def test_files_last_and_are_those_of_code(session: ServedSession) -> None:
    session.command("echo 6 > six.txt")
    assert session.printed("print(int(open('six.txt').read()) * 7)") == "42"


def test_bash_runs_it(session: ServedSession) -> None:
    assert session.command("[[ abc == a* ]] && x=(1 2 3) && echo ${#x[@]}")["structuredContent"]["stdout"] == "3"


@pytest.mark.parametrize(
    "command",
    ["sleep 1000 &", "nohup sleep 1000 & disown", "(sleep 1000; echo late) & echo started", "setsid sleep 1000 &"],
)
def test_background_child_does_not_hold_the_call(session: ServedSession, command: str) -> None:
    result = session.command(command)
    assert result["isError"] is False
    assert result["structuredContent"]["executionTime"] < 20


def test_background_child_runs_on_after_the_call(session: ServedSession) -> None:
    session.command("mkfifo gate; (cat gate > through) &")
    session.command("echo passed > gate")
    assert session.command("until test -s through; do :; done; cat through")["structuredContent"]["stdout"] == "passed"


def test_background_child_that_prints_later_is_not_killed_by_it(session: ServedSession) -> None:
    session.command("mkfifo gate; (cat gate; for i in $(seq 100); do echo noise; done; touch survived) &")
    session.command("echo go > gate")
    assert session.command("until test -e survived; do :; done")["isError"] is False


def test_pip_finds_what_is_preinstalled_as_the_guide_does(session: ServedSession) -> None:
    result = session.command("pip install requests && pip list")
    assert result["isError"] is False
    assert "already satisfied" in result["structuredContent"]["stdout"]
    assert "pandas" in result["structuredContent"]["stdout"]


@pytest.mark.parametrize("program", ["bash", "python", "python3", "ls", "find", "grep", "sed", "awk", "tar", "node", "aws"])
def test_programs_that_clients_expect_are_there(session: ServedSession, program: str) -> None:
    assert session.command(f"command -v {program}")["isError"] is False


def test_python_of_commands_has_the_libraries_of_code(session: ServedSession) -> None:
    assert session.command("python -c 'import pandas; print(pandas.__name__)'")["structuredContent"]["stdout"] == "pandas"


def test_script_with_a_shebang_runs_after_chmod(session: ServedSession) -> None:
    session.invoke("writeFiles", content=[file_of("hello.sh", "#!/bin/bash\necho from a script\n")])
    assert session.command("chmod +x hello.sh && ./hello.sh")["structuredContent"]["stdout"] == "from a script"


def test_nul_in_a_command_is_refused(session: ServedSession) -> None:
    error = session.refused("executeCommand", command="echo a\0b")
    assert error["Error"]["Code"] == "ValidationException"


def test_several_lines_run_as_one_script(session: ServedSession) -> None:
    assert session.command("for i in 1 2\ndo\n  echo $i\ndone\ncat <<END\n3\nEND")["structuredContent"]["stdout"] == "1\n2\n3"
