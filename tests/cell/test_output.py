"""Output of code and commands: exact bytes, whole, bounded."""

from __future__ import annotations

import pytest

from cell.client import AgentClient
from cellblock_cell.run import ERRORS_BYTES

MEGABYTES_10 = 10_000_000


def test_ten_megabytes_of_code_arrive_whole(agent: AgentClient) -> None:
    reply = agent.run("import sys\nfor i in range(100): sys.stdout.write(f'{i:02}' * 50_000)", output_bytes=MEGABYTES_10)
    assert reply.stdout == b"".join(b"%02d" % i * 50_000 for i in range(100))
    assert reply.meta["dropped_bytes"] == 0


def test_ten_megabytes_of_a_command_arrive_whole(agent: AgentClient) -> None:
    reply = agent.command("yes 0123456789abcde | head -c 10000000", output_bytes=MEGABYTES_10)
    assert reply.stdout == b"0123456789abcde\n" * (MEGABYTES_10 // 16)
    assert reply.meta["dropped_bytes"] == 0


@pytest.mark.parametrize(("printed", "dropped"), [(999, 0), (1000, 0), (1001, 1)])
def test_what_is_over_the_limit_is_dropped_and_counted(agent: AgentClient, printed: int, dropped: int) -> None:
    for reply in (
        agent.run(f"import sys; sys.stdout.write('x' * {printed}); None", output_bytes=1000),
        agent.command(f"head -c {printed} /dev/zero", output_bytes=1000),
    ):
        assert (len(reply.stdout), reply.meta["dropped_bytes"]) == (printed - dropped, dropped)


def test_limit_counts_both_streams_together(agent: AgentClient) -> None:
    reply = agent.command("printf abcdef >&2; sleep 0.05; printf 123456", output_bytes=10)
    assert (reply.stdout, reply.stderr, reply.meta["dropped_bytes"]) == (b"1234", b"abcdef", 2)


def test_a_traceback_is_not_lost_to_the_output_before_it(agent: AgentClient) -> None:
    reply = agent.run("print('x' * 5000)\n1 / 0", output_bytes=1000)
    assert (len(reply.stdout), reply.stderr.endswith(b"ZeroDivisionError: division by zero")) == (1000, True)


def test_what_is_kept_of_errors_beyond_the_limit_is_bounded(agent: AgentClient) -> None:
    reply = agent.command("head -c 1000000 /dev/zero >&2", output_bytes=1000)
    assert (len(reply.stderr), reply.meta["dropped_bytes"]) == (1000 + ERRORS_BYTES, 999_000 - ERRORS_BYTES)


def test_two_hundred_megabytes_over_the_limit_do_not_stall(agent: AgentClient) -> None:
    reply = agent.command("head -c 200000000 /dev/zero", output_bytes=1000)
    assert (len(reply.stdout), reply.meta["dropped_bytes"], reply.meta["exit_code"]) == (1000, 199_999_000, 0)


def test_bytes_that_are_not_utf8_arrive_as_they_are(agent: AgentClient) -> None:
    every = bytes(range(256))
    assert agent.run("import sys; sys.stdout.buffer.write(bytes(range(256))); None").stdout == every
    assert agent.run("import os; os.write(1, bytes(range(256))); None").stdout == every
    assert agent.command(r"printf '\377\0\200'").stdout == b"\xff\x00\x80"


def test_undecodable_text_is_printed_as_the_bytes_it_was(agent: AgentClient) -> None:
    assert agent.run("print(b'\\xff'.decode('utf-8', 'surrogateescape'))").stdout == b"\xff\n"


def test_partial_line_is_kept(agent: AgentClient) -> None:
    assert agent.run("print('no newline', end='')").stdout == b"no newline"


def test_output_of_c_code_is_kept(agent: AgentClient) -> None:
    assert agent.run("import ctypes; ctypes.CDLL(None).printf(b'from C'); None").stdout == b"from C"


def test_streams_stay_apart(agent: AgentClient) -> None:
    reply = agent.run("import sys; print('out'); print('err', file=sys.stderr)")
    assert (reply.stdout, reply.stderr) == (b"out\n", b"err\n")


def test_output_comes_while_the_code_runs(agent: AgentClient) -> None:
    number = agent.start_code("print('early')\nwhile not __import__('os').path.exists('go'): pass\nprint('late')")
    agent.wait_for_output(number, b"early")
    agent.workspace.joinpath("go").touch()
    assert agent.wait(number).stdout.endswith(b"late\n")


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.close(1); os.close(2)",
        "import os; os.dup2(os.open('/dev/null', os.O_WRONLY), 1)",
        "import sys; sys.stdout.close(); sys.stderr.close()",
        "import sys; sys.stdout = sys.stderr = None",
        "import sys; sys.stdout = object()",
        "import sys; sys.stdout.detach()",
        "import os; os.close(0)",
        "import sys; del sys.stdout, sys.stderr",
    ],
)
def test_damaged_streams_are_restored_for_the_next_call(agent: AgentClient, code: str) -> None:
    agent.run("x = 'kept'")
    agent.run(code)
    reply = agent.run("print('out'); print('err', file=__import__('sys').stderr); x")
    assert (reply.stdout, reply.stderr) == (b"out\n'kept'\n", b"err\n")


def test_traceback_is_shown_though_the_code_closed_its_streams(agent: AgentClient) -> None:
    assert b"ZeroDivisionError" in agent.run("import sys\nsys.stderr = None\n1 / 0").stderr


def test_output_between_two_calls_is_dropped(agent: AgentClient) -> None:
    code = """
import threading, os
def later():
    while not os.path.exists('go'): pass
    print('between')
    open('done', 'w')
    while not os.path.exists('go on'): pass
    print('during')
    open('printed', 'w')
thread = threading.Thread(target=later, daemon=True); thread.start()
"""
    agent.run(code)
    agent.command("touch go; until test -e done; do :; done")
    reply = agent.run("open('go on', 'w')\nthread.join()")
    assert reply.stdout == b"during\n"


def test_slow_host_makes_the_code_wait_and_loses_nothing(agent: AgentClient) -> None:
    size = 6_000_000
    number = agent.start_code(f"import sys, os\nsys.stdout.write('x' * {size}); sys.stdout.flush()\nopen('written', 'w').close()")
    answer = agent.start("ping")  # nothing is read here until the pipe and the socket are full
    agent.wait(answer)
    assert not agent.workspace.joinpath("written").exists()
    assert len(agent.wait(number).stdout) == size


def test_commands_go_on_while_the_code_waits_for_the_host(agent: AgentClient) -> None:
    code = agent.start_code("import sys; sys.stdout.write('x' * 6_000_000); None")
    command = agent.start_command("touch made")
    assert agent.wait(command).meta["exit_code"] == 0
    assert agent.workspace.joinpath("made").exists()
    assert len(agent.wait(code).stdout) == 6_000_000
