"""How runs end: by time, by the host, by force, by accident. The session stays usable after each."""

from __future__ import annotations

import os
import signal
import time

import pytest

from cell.client import AgentClient

LONG = "while True: pass"
SLEEP = "import time; time.sleep(60)"
DEAF = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('deaf', flush=True)\nwhile True: pass"


@pytest.mark.parametrize(
    "code", [LONG, SLEEP, "import asyncio; await asyncio.sleep(60)", "!sleep 60", "import subprocess; subprocess.run(['sleep', '60'])"]
)
def test_code_over_its_time_is_interrupted_and_keeps_its_variables(agent: AgentClient, code: str) -> None:
    agent.run("x = 'kept'")
    reply = agent.run(f"print('printed')\n{code}", timeout_seconds=0.3)
    assert (reply.meta["outcome"], reply.meta["exit_code"], reply.meta["note"]) == ("timeout", 124, "")
    assert reply.stdout.startswith(b"printed\n")
    assert 0.3 <= reply.meta["seconds"] < 2
    assert agent.run("x").text == "'kept'"


def test_interrupt_is_shown_as_a_traceback(agent: AgentClient) -> None:
    reply = agent.run(LONG, timeout_seconds=0.2)
    assert b"Cell In[1], line 1" in reply.stderr
    assert b"KeyboardInterrupt" in reply.stderr


def test_time_that_is_over_at_once_interrupts_at_once(agent: AgentClient) -> None:
    agent.run("x = 'kept'")
    for _ in range(20):
        assert agent.run(LONG, timeout_seconds=0.0).meta["seconds"] < 1.5
    assert agent.run("x").text == "'kept'"


def test_code_that_ignores_the_interrupt_is_killed(agent: AgentClient) -> None:
    agent.run("x = 1")
    reply = agent.run(DEAF, timeout_seconds=0.2)
    assert (reply.meta["outcome"], reply.meta["exit_code"], reply.stdout) == ("timeout", 124, b"deaf\n")
    assert "did not stop" in reply.meta["note"]
    assert "variables are lost" in reply.meta["note"]
    assert 2.0 <= reply.meta["seconds"] < 4
    assert b"NameError" in agent.run("x").stderr


def test_kernel_that_is_stopped_is_killed_in_time(agent: AgentClient) -> None:
    reply = agent.run("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", timeout_seconds=0.2)
    assert reply.meta["outcome"] == "timeout"
    assert agent.run("1").text == "1"


def test_canceled_code_is_interrupted(agent: AgentClient) -> None:
    number = agent.start_code(f"x = 'kept'\nprint('started', flush=True)\n{LONG}")
    agent.wait_for_output(number, b"started")
    agent.cancel(number)
    reply = agent.wait(number)
    assert (reply.meta["outcome"], reply.meta["exit_code"], reply.stdout) == ("canceled", 130, b"started\n")
    assert agent.run("x").text == "'kept'"


def test_cancel_right_after_the_call_is_not_lost(agent: AgentClient) -> None:
    for _ in range(20):
        number = agent.start_code(LONG)
        agent.cancel(number)
        reply = agent.wait(number)
        assert reply.meta["outcome"] == "canceled"
        assert reply.meta["seconds"] < 1.5


def test_canceled_call_in_the_queue_never_runs(agent: AgentClient) -> None:
    first = agent.start_code("while not __import__('os').path.exists('go'): pass")
    second = agent.start_code("open('ran', 'w')")
    third = agent.start_code("'third'")
    agent.cancel(second)
    assert agent.wait(second).meta["outcome"] == "canceled"
    agent.workspace.joinpath("go").touch()
    assert agent.wait(first).meta["outcome"] == "done"
    assert agent.wait(third).text == "'third'"
    assert not agent.workspace.joinpath("ran").exists()


def test_cancel_of_a_finished_or_unknown_call_does_nothing(agent: AgentClient) -> None:
    number = agent.start_code("x = 1")
    agent.wait(number)
    agent.cancel(number)
    agent.cancel(4711)
    assert agent.run("x").text == "1"


def test_calls_of_one_language_queue_in_order(agent: AgentClient) -> None:
    numbers = [agent.start_code(f"print({i}); x = {i}") for i in range(8)]
    assert [agent.wait(number).text for number in numbers] == [str(i) for i in range(8)]


def test_interrupt_between_two_calls_changes_nothing(agent: AgentClient) -> None:
    kernel = int(agent.run("import os; x = 'kept'; os.getpid()").text)
    for _ in range(50):
        os.kill(kernel, signal.SIGINT)
        assert agent.run("x").text == "'kept'"


def test_interrupt_while_an_image_is_sent_breaks_nothing(agent: AgentClient) -> None:
    code = "import os, signal\nclass P:\n    def _repr_png_(self): return b'x' * 50_000\nwhile True: display(P())"
    agent.run("x = 'kept'")
    for milliseconds in range(100, 200, 20):
        assert agent.run(code, timeout_seconds=milliseconds / 1000).meta["note"].startswith("")
    assert agent.run("x").text == "'kept'"


@pytest.mark.parametrize(
    ("code", "exit_code", "word"),
    [
        ("import os; os._exit(7)", 7, "ended with status 7"),
        ("import os; os._exit(0)", 0, "ended with status 0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 139, "SIGSEGV"),
        ("import ctypes; ctypes.string_at(0)", 139, "SIGSEGV"),
        ("import os; os.abort()", 134, "SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137, "memory"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143, "SIGTERM"),
    ],
)
def test_death_of_the_kernel_ends_one_call_only(agent: AgentClient, code: str, exit_code: int, word: str) -> None:
    agent.run("x = 1; open('file', 'w').write('kept')")
    reply = agent.run(f"print('printed', flush=True)\n{code}")
    outcome = "killed" if exit_code else "done"  # a program that ends itself with 0 has not failed
    assert (reply.meta["outcome"], reply.meta["exit_code"], reply.stdout) == (outcome, exit_code, b"printed\n")
    assert word in reply.meta["note"]
    assert "variables are lost" in reply.meta["note"]
    assert b"NameError" in agent.run("x").stderr
    assert agent.run("open('file').read()").text == "'kept'"


def test_segmentation_fault_shows_where_it_was(agent: AgentClient) -> None:
    assert b"Fatal Python error: Segmentation fault" in agent.run("import ctypes; ctypes.string_at(0)").stderr


def test_calls_behind_a_death_run_in_a_fresh_kernel(agent: AgentClient) -> None:
    numbers = [agent.start_code("import os; os._exit(1)"), agent.start_code("'after'"), agent.start_code("1 / 0")]
    replies = [agent.wait(number) for number in numbers]
    assert [reply.meta["outcome"] for reply in replies] == ["killed", "done", "done"]
    assert b"Cell In[2]" in replies[2].stderr


def test_death_between_two_calls_is_told_to_the_next(agent: AgentClient) -> None:
    kernel = int(agent.run("import os; os.getpid()").text)
    os.kill(kernel, signal.SIGKILL)
    agent.command("while kill -0 " + str(kernel) + " 2>/dev/null; do :; done")
    reply = agent.run("'fresh'")
    assert reply.text == "'fresh'"
    assert "variables of earlier calls are lost" in reply.meta["note"]
    assert agent.run("1").meta["note"] == ""


def test_children_of_a_dead_kernel_die_with_it(agent: AgentClient) -> None:
    number = agent.start_code("import subprocess, os\nprint(subprocess.Popen(['sleep', '600']).pid, flush=True)\nos._exit(1)")
    child = int(agent.wait(number).text)
    assert (
        agent.command(f"until ! test -e /proc/{child} || grep -q ') Z' /proc/{child}/stat; do :; done", timeout_seconds=5).meta["exit_code"]
        == 0
    )


@pytest.mark.parametrize(
    "code",
    [
        "import os\nfor n in (3, *range(6, 200)):\n    try: os.write(n, b'\\xff' * 1000)\n    except OSError: pass",
        "import os; os.write(3, bytes.fromhex('010500000000000000000000ffffffff'))",
        "import os; os.write(3, b'\\x01\\x05\\0\\0' + (1).to_bytes(4, 'big') + (9).to_bytes(4, 'big') + bytes(4) + b'[1, 2, 3]')",
        "import os; os.write(3, b'\\x01\\x05\\0\\0' + (99).to_bytes(4, 'big') + (15).to_bytes(4, 'big') + bytes(4) + b'{\"exit_code\":0}')",
        "import os; os.write(3, b'\\x01\\x03\\0\\0' + (1).to_bytes(4, 'big') + (11).to_bytes(4, 'big') + bytes(4) + b'{\"image\":0}')",
        "import os; os.close(3); import time; time.sleep(60)",
        "import socket; socket.socket(fileno=3).shutdown(2); import time; time.sleep(60)",
    ],
)
def test_kernel_that_breaks_its_connection_is_killed_and_replaced(agent: AgentClient, code: str) -> None:
    reply = agent.run(f"print('printed', flush=True)\n{code}\nimport time; time.sleep(60)")
    assert (reply.meta["outcome"], reply.meta["exit_code"], reply.stdout) == ("killed", 137, b"printed\n")
    assert "killed because" in reply.meta["note"]
    assert agent.run("1").text == "1"


def test_forged_frames_of_a_kernel_are_bounded_in_memory(agent: AgentClient) -> None:
    code = """
import socket
forged = socket.socket(fileno=3)
head = b'\\x01\\x03\\0\\0' + bytes(4) + (2).to_bytes(4, 'big') + (1 << 20).to_bytes(4, 'big')
while True: forged.sendall(head + b'{}' + bytes(1 << 20))
"""
    reply = agent.run(code)
    assert reply.meta["outcome"] == "killed"
    assert agent.run("1").text == "1"


def test_code_that_redefines_the_machinery_harms_itself_only(agent: AgentClient) -> None:
    agent.run("get_ipython().run_cell = None")
    assert agent.run("1").meta["exit_code"] == 1
    assert agent.run("'fresh'", clear_context=True).text == "'fresh'"


def test_kernel_flooded_with_interrupts_survives(agent: AgentClient) -> None:
    kernel = int(agent.run("import os; os.getpid()").text)
    number = agent.start_code("import time\nfor _ in range(300):\n    try: time.sleep(0.001)\n    except KeyboardInterrupt: pass")
    deadline = time.monotonic() + 0.2
    while time.monotonic() < deadline:
        os.kill(kernel, signal.SIGINT)
    assert agent.wait(number).meta["outcome"] == "done"
    assert agent.run("1").text == "1"
