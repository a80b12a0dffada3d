"""The agent as a whole: its link, its readiness, its end."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from cell.client import AgentClient, AgentTemplate, wait_until_gone
from cellblock_cell.link import VERSION, Frame, Kind, encode


def test_hello_says_version_and_process(agent: AgentClient) -> None:
    assert agent.hello is not None
    assert agent.hello.meta == {"version": VERSION, "pid": agent.pid}


def test_agent_ends_with_the_link_and_takes_everything_along(template: AgentTemplate, tmp_path: Path) -> None:
    with template.agent(tmp_path) as agent:
        kernel = int(agent.run("import os; os.getpid()").text)
        number = agent.start_command("echo $$; exec sleep 600")
        agent.wait_for_output(number, b"\n")
        agent.start_code("while True: pass")
        command = int(agent.pending_output(number))
    wait_until_gone(kernel)
    wait_until_gone(command)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 64,
        b"\x01\x09" + bytes(14),
        bytes.fromhex("01020000000000010000000affffffff"),
        b"\x01\x02" + bytes(6) + b"\0\0\0\x02" + bytes(4) + b"[]",
    ],
)
def test_agent_ends_on_bytes_that_are_no_frame(template: AgentTemplate, tmp_path: Path, data: bytes) -> None:
    with template.agent(tmp_path) as agent:
        agent.link.sendall(data)
        with pytest.raises(EOFError):
            agent.read()


def test_half_a_frame_at_the_end_of_the_link_is_no_call(template: AgentTemplate, tmp_path: Path) -> None:
    with template.agent(tmp_path) as agent:
        frame = encode(Frame(Kind.CALL, 1, {"tool": "run_command", "command": "touch made", "timeout_seconds": 1, "output_bytes": 1}))
        agent.link.sendall(frame[:-1])
        agent.link.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError):
            agent.read()
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        {"tool": "no_such_tool"},
        {},
        {"tool": "run_code"},
        {"tool": "run_code", "language": "python", "runtime": "python", "code": 1, "timeout_seconds": 1, "output_bytes": 1},
        {"tool": "run_code", "language": "python", "runtime": "python", "code": "1", "timeout_seconds": "1", "output_bytes": 1},
        {"tool": "run_command", "command": "true"},
        {"tool": "start_task", "command": ["true"], "output_bytes": 1},
        {"tool": "read_files", "paths": "a", "limit_bytes": 1},
        {"tool": "list_files"},
        {"tool": "remove_files", "paths": [1]},
    ],
)
def test_call_with_wrong_arguments_is_answered(agent: AgentClient, arguments: dict[str, object]) -> None:
    agent.link.sendall(encode(Frame(Kind.CALL, 99, arguments)))  # type: ignore[arg-type]
    assert agent.wait(99).error == "bad_call"
    assert agent.run("1").text == "1"


def test_upload_with_wrong_arguments_is_answered_at_its_end(agent: AgentClient) -> None:
    number = agent.start("write_files", files=[{"path": "a"}])
    agent.finish_upload(number)
    assert agent.wait(number).error == "bad_call"


def test_frames_of_unknown_calls_are_ignored(agent: AgentClient) -> None:
    for kind in (Kind.DATA, Kind.END, Kind.CANCEL, Kind.HELLO, Kind.RESULT):
        agent.link.sendall(encode(Frame(kind, 4711, {"file": 0}, b"x")))
    assert agent.call("ping").meta == {}


def test_call_that_arrives_byte_by_byte_is_answered(agent: AgentClient) -> None:
    for byte in encode(Frame(Kind.CALL, 77, {"tool": "ping"})):
        agent.link.sendall(bytes([byte]))
    assert agent.wait(77).meta == {}


def test_idle_agent_uses_no_processor_time(agent: AgentClient) -> None:
    agent.run("1")
    agent.command("true")
    agent.call("ping")
    before = processor_ticks(agent.pid)
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        os.sched_yield()
    assert processor_ticks(agent.pid) - before <= 1


def processor_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_calls_leave_no_descriptor_behind(agent: AgentClient) -> None:
    def everything() -> None:
        agent.run("1")
        agent.run("import os; os._exit(1)")
        agent.run("2", clear_context=True)
        agent.command("true")
        agent.write({"made/a": b"x"})
        agent.write({"../a": b"x"})
        agent.file("made/a")
        agent.file("made")
        agent.file("../x")
        agent.call("list_files", path="made")
        agent.call("remove_files", paths=["made", "no"])

    everything()
    before = len(os.listdir(f"/proc/{agent.pid}/fd"))
    for _ in range(5):
        everything()
    assert len(os.listdir(f"/proc/{agent.pid}/fd")) <= before


def test_pipes_of_background_children_are_bounded(agent: AgentClient) -> None:
    before = len(os.listdir(f"/proc/{agent.pid}/fd"))
    for _ in range(80):
        agent.command("sleep 20 &")
    agent.call("ping")  # the pipes of the last command are put away after its result
    assert len(os.listdir(f"/proc/{agent.pid}/fd")) - before <= 2 * 64


def test_modules_import_without_side_effects(runtime_python: str) -> None:
    code = (
        "import sys, os, signal, threading\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background programs ignore it
        "import cellblock_cell.agent, cellblock_cell.languages\n"
        "assert threading.active_count() == 1\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "assert not [n for n in os.listdir('/proc/self/fd') if int(n) > 3], os.listdir('/proc/self/fd')\n"
        "assert 'cellblock' not in sys.modules\n"
    )
    source = str(Path(__file__).parents[2] / "src")
    subprocess.run([runtime_python, "-c", code], env={"PYTHONPATH": source}, check=True, close_fds=True)
