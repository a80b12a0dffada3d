"""Calls over their time, on a server that gives each two seconds: what was printed is kept, and the session goes on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from running_server import Json, RunningServer, ServedSession, file_of, serving, texts, until

SECONDS = 2
FOREVER = "import signal\nwhile True:\n    signal.pause()"
DEAF = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('deaf', flush=True)\nwhile True:\n    signal.pause()"


@pytest.fixture(scope="module")
def hasty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with short times and small places."""
    settings = {"call_timeout_seconds": SECONDS, "workspace_mb": 32, "drain_seconds": 0}
    with serving(tmp_path_factory.mktemp("hasty") / "data", max_sessions=100, **settings) as running:
        yield running


@pytest.fixture
def hasty(hasty_server: RunningServer) -> Iterator[ServedSession]:
    """A session in which calls have two seconds."""
    with hasty_server.session() as session:
        yield session


def assert_timed_out(result: Json, *, stdout: str) -> None:
    assert texts(result)[0].startswith("CodeExecutionTimeoutException")
    structured = result["structuredContent"]
    assert (result["isError"], structured["exitCode"], structured["stdout"]) == (True, 124, stdout)
    assert SECONDS - 0.1 <= structured["executionTime"] < SECONDS + 5


def test_code_over_its_time_keeps_its_output_and_its_variables(hasty: ServedSession) -> None:
    assert_timed_out(hasty.run(f"x = 41\nprint('before')\n{FOREVER}"), stdout="before")
    assert hasty.printed("print(x + 1)") == "42"


def test_text_names_the_limit_and_then_what_was_printed(hasty: ServedSession) -> None:
    (first, *_) = texts(hasty.run(f"print('before')\n{FOREVER}"))
    assert f"{SECONDS} seconds" in first.splitlines()[0]
    assert first.endswith("before")


def test_code_that_ignores_the_interrupt_is_killed_and_the_next_call_has_a_fresh_kernel(hasty: ServedSession) -> None:
    hasty.write(kept="1")
    hasty.printed("x = 1")
    result = hasty.run(DEAF)
    assert_timed_out(result, stdout="deaf")
    assert "variables are lost" in texts(result)[0]
    assert hasty.printed("print('x' in globals(), open('kept').read())") == "False 1"


def test_code_that_catches_the_interrupt_is_over_too(hasty: ServedSession) -> None:
    code = f"try:\n    {FOREVER.replace(chr(10), chr(10) + '    ')}\nexcept KeyboardInterrupt:\n    print('caught')"
    result = hasty.run(code)
    assert (result["isError"], result["structuredContent"]["exitCode"]) == (True, 124)
    assert "caught" in result["structuredContent"]["stdout"]


def test_busy_loop_of_native_code_is_interrupted_or_killed(hasty: ServedSession) -> None:
    result = hasty.run("sum(range(10**12))")
    assert result["structuredContent"]["exitCode"] == 124
    assert hasty.printed("print('alive')") == "alive"


def test_command_over_its_time_keeps_its_output(hasty: ServedSession) -> None:
    assert_timed_out(hasty.command("echo before; exec sleep 1000"), stdout="before")
    assert hasty.command("echo after")["structuredContent"]["stdout"] == "after"


def test_command_that_ignores_the_signal_is_killed_with_its_children(hasty: ServedSession) -> None:
    assert_timed_out(hasty.command("trap '' TERM INT; echo deaf; sleep 4243 & while :; do wait; done"), stdout="deaf")
    code = "import glob\nprint(sum(open(name, 'rb').read() == b'sleep\\x004243\\x00' for name in glob.glob('/proc/[0-9]*/cmdline')))"
    assert hasty.printed(code) == "0"


def test_task_may_take_longer_than_a_call(hasty: ServedSession) -> None:
    task_id = hasty.invoke("startCommandExecution", command="exec sleep 1000")["structuredContent"]["taskId"]
    hasty.run(FOREVER)
    assert hasty.invoke("getTask", taskId=task_id)["structuredContent"]["taskStatus"] == "working"


def test_figure_shown_before_the_end_is_kept(hasty: ServedSession) -> None:
    result = hasty.run(f"import matplotlib.pyplot as plt\nplt.plot([1]); plt.show()\n{FOREVER}")
    assert [block["type"] for block in result["content"]].count("image") == 1
    assert result["structuredContent"]["exitCode"] == 124


def test_other_calls_of_the_session_go_on_meanwhile(hasty: ServedSession) -> None:
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(hasty.run, f"open('started', 'w').close()\n{FOREVER}")
        until(lambda: hasty.invoke("listFiles")["content"])
        assert hasty.command("echo quick")["structuredContent"]["stdout"] == "quick"
        assert not slow.done()
        assert slow.result(timeout=20)["structuredContent"]["exitCode"] == 124


def test_waiting_for_its_turn_does_not_count_as_running(hasty: ServedSession) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(hasty.run, f"open('started', 'w').close()\n{FOREVER}")
        until(lambda: hasty.invoke("listFiles")["content"])
        second = pool.submit(hasty.run, "print('my turn')")
        assert first.result(timeout=20)["structuredContent"]["exitCode"] == 124
        assert second.result(timeout=20)["structuredContent"]["stdout"] == "my turn"


def test_disk_that_is_full_is_told_and_the_batch_is_not_written(hasty: ServedSession) -> None:
    hasty.write(kept="before")
    half = bytes(20 * 1024 * 1024)
    result = hasty.invoke("writeFiles", content=[file_of("kept", "after"), file_of("a", half), file_of("b", half)])
    assert (result["isError"], "disk is full" in texts(result)[0]) == (True, True)
    assert hasty.command("ls; cat kept")["structuredContent"]["stdout"] == "kept\nbefore"


def test_code_on_a_full_disk_gets_an_error_of_its_own(hasty: ServedSession) -> None:
    result = hasty.run("open('big', 'wb').write(bytes(40 * 1024 * 1024))")
    assert "No space left on device" in result["structuredContent"]["stderr"]
