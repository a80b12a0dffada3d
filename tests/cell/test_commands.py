"""Shell commands."""

from __future__ import annotations

import os
import signal

import pytest

from cell.client import AgentClient, AgentTemplate


def test_command_gives_streams_and_exit_code(agent: AgentClient) -> None:
    reply = agent.command("echo out; echo err >&2; exit 3")
    assert (reply.stdout, reply.stderr, reply.meta["exit_code"], reply.meta["outcome"]) == (b"out\n", b"err\n", 3, "done")


@pytest.mark.parametrize(
    ("command", "exit_code"), [("true", 0), ("no-such-program", 127), ("/etc/passwd", 126), ("kill -9 $$", 137), ("exit 255", 255)]
)
def test_exit_codes_are_the_shells(agent: AgentClient, command: str, exit_code: int) -> None:
    assert agent.command(command).meta["exit_code"] == exit_code


def test_command_has_no_terminal_and_no_input(agent: AgentClient) -> None:
    assert agent.command("test -t 0 || test -t 1 || test -t 2 || echo none; cat; tty").stdout == b"none\nnot a tty\n"


def test_command_runs_in_bash_in_the_workspace_with_the_environment(agent: AgentClient) -> None:
    reply = agent.command("echo ${BASH_VERSION:+bash}; pwd; echo $LANG; env | cut -d= -f1 | sort | tr '\\n' ' '")
    assert reply.text.splitlines()[:3] == ["bash", str(agent.workspace), "C.UTF-8"]
    assert set(reply.text.splitlines()[3].split()) <= {"HOME", "LANG", "MPLCONFIGDIR", "PATH", "PWD", "SHLVL", "_", "OLDPWD"}


def test_directory_and_variables_do_not_last_but_files_do(agent: AgentClient) -> None:
    agent.command("cd /; export X=1; touch $OLDPWD/made")
    assert agent.command("pwd; echo [$X]; ls").text.splitlines() == [str(agent.workspace), "[]", "made"]


def test_command_has_its_own_session_and_only_its_streams(agent: AgentClient) -> None:
    assert agent.command("ls /proc/self/fd").text.split() == ["0", "1", "2", "3"]  # 3 is the directory being listed
    first, second = agent.command("echo $$; cut -d' ' -f6 /proc/$$/stat").text.split()
    assert first == second


def test_signals_of_a_command_have_their_defaults(agent: AgentClient) -> None:
    blocked, ignored = agent.command("grep -h -e SigIgn -e SigBlk /proc/self/status").text.split()[1::2]
    of_the_c_library = 1 << 31 | 1 << 32  # it keeps 32 and 33 for itself, and spawns with them ignored
    assert (int(ignored, 16) & ~of_the_c_library, int(blocked, 16)) == (0, 0)


def test_commands_run_side_by_side(agent: AgentClient) -> None:
    first = agent.start_command("until test -e second; do :; done; echo first")
    second = agent.start_command("touch second; echo second")
    assert agent.wait(first).text == "first"
    assert agent.wait(second).text == "second"


def test_command_runs_beside_code(agent: AgentClient) -> None:
    code = agent.start_code("import os\nwhile not os.path.exists('made'): pass\n'seen'")
    assert agent.command("touch made").meta["exit_code"] == 0
    assert agent.wait(code).text == "'seen'"


def test_command_returns_though_a_background_child_holds_the_pipes(agent: AgentClient) -> None:
    reply = agent.command("sleep 20 & echo started", timeout_seconds=20)
    assert (reply.stdout, reply.meta["outcome"]) == (b"started\n", "done")
    assert reply.meta["seconds"] < 10


def test_background_child_lives_on_and_may_print(agent: AgentClient) -> None:
    reply = agent.command("(until test -e go; do :; done; yes | head -c 1000000; touch done) & echo $!")
    assert reply.text.isdigit()
    assert agent.command("touch go; until test -e done; do :; done; echo alive", timeout_seconds=10).text == "alive"


@pytest.mark.parametrize("command", ["sleep 60", "sleep 60 | cat", "while :; do :; done", "sh -c 'sleep 60; true'; true"])
def test_command_over_its_time_is_ended(agent: AgentClient, command: str) -> None:
    reply = agent.command(f"echo printed; {command}", timeout_seconds=0.3)
    assert (reply.meta["outcome"], reply.meta["exit_code"], reply.stdout) == ("timeout", 124, b"printed\n")
    assert reply.meta["seconds"] < 2


def test_command_that_ignores_the_signal_is_killed_after_the_grace(agent: AgentClient) -> None:
    reply = agent.command("trap '' TERM; echo deaf; while :; do :; done", timeout_seconds=0.2)
    assert (reply.meta["outcome"], reply.stdout) == ("timeout", b"deaf\n")
    assert 2.0 <= reply.meta["seconds"] < 4


def test_command_may_clean_up_when_its_time_is_over(agent: AgentClient) -> None:
    reply = agent.command("trap 'echo cleaned; exit 1' TERM; echo started; while :; do sleep 0.05; done", timeout_seconds=0.3)
    assert reply.stdout == b"started\ncleaned\n"


def test_whole_group_of_a_command_ends_with_its_time(agent: AgentClient) -> None:
    reply = agent.command(
        "sleep 600 & echo $!; trap '' TERM; sh -c \"trap '' TERM; echo \\$\\$; sleep 600; sleep 600\"", timeout_seconds=0.3
    )
    for pid in reply.text.split():
        gone = f"until ! test -e /proc/{pid} || grep -q ') Z' /proc/{pid}/stat; do :; done"
        assert agent.command(gone, timeout_seconds=5).meta["exit_code"] == 0


def test_canceled_command_is_ended(agent: AgentClient) -> None:
    number = agent.start_command("echo started; sleep 60")
    agent.wait_for_output(number, b"started")
    agent.cancel(number)
    reply = agent.wait(number)
    assert (reply.meta["outcome"], reply.meta["exit_code"], reply.stdout) == ("canceled", 130, b"started\n")


def test_command_with_a_nul_character_is_refused(agent: AgentClient) -> None:
    assert agent.command("echo a\0b").error == "bad_call"


def test_command_that_cannot_be_started_is_the_tools_failure(template: AgentTemplate, agent: AgentClient) -> None:
    with template.agent(agent.workspace, shell="/no/such/shell") as other:
        assert other.command("true").error == "no_process"
        assert other.call("start_task", command="true", output_bytes=10).error == "no_process"
        assert other.run("1").text == "1"


def test_orphans_are_reaped(agent: AgentClient) -> None:
    agent.command("for i in $(seq 300); do (setsid true &); done; (sh -c 'sleep 0.2 & echo $! > orphan' &)")
    zombies = f"grep -l '^State:.Z' /proc/[0-9]*/status | xargs -r grep -l '^PPid:.{agent.pid}$'"
    wait = "until test -s orphan && ! test -e /proc/$(cat orphan); do :; done"
    assert agent.command(f"{wait}; {zombies}", timeout_seconds=10).stdout == b""


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGPIPE]
)
def test_signals_from_user_code_do_not_hurt_the_agent(agent: AgentClient, number: int) -> None:
    for _ in range(20):
        os.kill(agent.pid, number)
    assert agent.call("ping").meta == {}
    assert agent.run("1").text == "1"


def test_flood_of_signals_does_not_stall_the_agent(agent: AgentClient) -> None:
    flood = agent.start_command(f"echo started; while :; do kill -USR1 {agent.pid}; done", timeout_seconds=1.0)
    agent.wait_for_output(flood, b"started")
    assert agent.run("1").text == "1"
    assert agent.wait(flood).meta["outcome"] == "timeout"
