"""Memory without end would make the host's memory killer choose among everybody's processes."""

from __future__ import annotations

import pytest

from cells import MIB, PRELUDE, Bench

pytestmark = pytest.mark.root

EAT = "data = bytearray(300 << 20); print(len(data) >> 20)"
EAT_TOGETHER = """
reader, writer = os.pipe()
children = []
for _ in range(6):
    children.append(os.fork())
    if children[-1] == 0:
        data = bytearray(50 << 20)
        os.close(writer)
        signal.pause()
os.close(writer)
while os.read(reader, 100):  # until each has eaten or died
    pass
print(sum(os.waitpid(child, os.WNOHANG)[0] == 0 for child in children))
"""
FILL = """
with open("{path}", "wb") as file:
    for _ in range(300):
        file.write(bytes(1 << 20))
print("done")
"""
LOOPBACK = """
server = socket.create_server(("127.0.0.1", 0))
held, total = [], 0
for _ in range(150):
    sender = socket.create_connection(server.getsockname())
    receiver, _ = server.accept()
    held += [sender, receiver]
    sender.setblocking(False)
    piece = bytes(1 << 20)
    try:
        while True:
            total += sender.send(piece)
    except BlockingIOError:
        pass
print(total >> 20)
"""
WAITING = {
    "pipe": """
held, total = [], 0
for _ in range(400):
    reader, writer = os.pipe()
    held += [reader, writer]
    attempt(fcntl.fcntl, writer, fcntl.F_SETPIPE_SZ, 1 << 20)
    os.set_blocking(writer, False)
    try:
        while True:
            total += os.write(writer, bytes(1 << 16))
    except BlockingIOError:
        pass
print(total >> 20)
""",
    "socketpair": """
held, total = [], 0
for _ in range(400):
    held += socket.socketpair()
    held[-1].setblocking(False)
    try:
        while True:
            total += held[-1].send(bytes(100_000))
    except BlockingIOError:
        pass
print(total >> 20)
""",
}


def grants_control_groups(bench: Bench) -> None:
    if bench.node.group_kind == "none":
        pytest.skip("needs the memory and process controllers of cgroup v1 or v2, and the right to write there")


def test_memory_of_one_process_is_bounded_and_its_death_is_told(strong: Bench) -> None:
    grants_control_groups(strong)
    with strong.cell(memory_bytes=1024 * MIB) as roomy, strong.cell(memory_bytes=128 * MIB) as tight:
        assert roomy.probe(EAT) == "300"
        run = tight.run(EAT)
        assert (run.outcome, run.stdout) == ("killed", b"")
        assert "memory" in run.note
        assert tight.probe("print('alive')") == "alive"


def test_memory_of_all_processes_together_is_bounded(strong: Bench) -> None:
    grants_control_groups(strong)
    with strong.cell(memory_bytes=1024 * MIB) as roomy, strong.cell(memory_bytes=128 * MIB) as tight:
        assert roomy.probe(EAT_TOGETHER) == "6"
        assert tight.probe(EAT_TOGETHER) != "6"
        assert tight.probe("print('alive')") == "alive"


@pytest.mark.parametrize("path", ["/dev/shm/big", "/tmp/big", "big"])
def test_files_in_memory_count_and_can_be_removed_again(strong: Bench, path: str) -> None:
    grants_control_groups(strong)
    size = 400 * MIB
    with strong.cell(memory_bytes=1024 * MIB, workspace_bytes=size, tmp_bytes=size) as roomy:
        assert roomy.probe(FILL.format(path=path)) == "done"
    with strong.cell(memory_bytes=128 * MIB, workspace_bytes=size, tmp_bytes=size) as tight:
        assert tight.run(FILL.format(path=path)).outcome == "killed"
        tight.command(f"rm {path}")
        assert tight.probe("print('alive')") == "alive"


def test_buffers_of_sockets_count(strong: Bench) -> None:
    grants_control_groups(strong)
    with strong.cell(memory_bytes=2048 * MIB) as roomy, strong.cell(memory_bytes=64 * MIB) as tight:
        assert int(roomy.probe(LOOPBACK)) > 200
        assert int(tight.probe(LOOPBACK)) < 64


@pytest.mark.parametrize("kind", ["pipe", "socketpair"])
def test_what_waits_in_pipes_and_local_sockets_counts(strong: Bench, kind: str) -> None:
    grants_control_groups(strong)
    with strong.cell(memory_bytes=1024 * MIB) as roomy, strong.cell(memory_bytes=64 * MIB) as tight:
        assert int(roomy.probe(WAITING[kind])) >= 64
        assert tight.run(f"{PRELUDE}{WAITING[kind]}").outcome == "killed"
