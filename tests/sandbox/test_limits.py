"""The contract of every kind of limit that a host may grant: control groups of version 2 or 1, or sampling."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cellblock.model.calls import FileToWrite, RemoveFiles, Run, WriteFiles
from cellblock.runtime.builds import Runtime
from cells import MIB, PRELUDE, Bench, BenchCell, limited_by
from left_behind import held

NO_BARRIER = 4096 * MIB
EAT = "data = bytearray(b'x') * (450 << 20); print(len(data) >> 20)"
EAT_AND_STAY = f"import signal; {EAT}; signal.pause()"  # sampling lets through what is gone before it looks
EAT_IN_SIX = """
children, readers = [], []
for _ in range(6):
    reader, writer = os.pipe()
    readers.append(reader)
    children.append(os.fork())
    if children[-1] == 0:
        data = bytearray(b"x") * ({megabytes} << 20)
        os.write(writer, b"x")
        signal.pause()
    os.close(writer)
print(sum(len(os.read(reader, 1)) for reader in readers), flush=True)
if {stay}:
    os.waitpid(-1, 0)
for child in children:
    os.kill(child, 9)
"""
FILL_SOCKETS = """
total, children = 0, []
for child in range(6):
    reader, writer = os.pipe()
    children.append(os.fork())
    if children[-1] == 0:
        held, sent = [], 0
        for _ in range({pairs}):
            one, other = socket.socketpair()
            one.setblocking(False)
            held += [one, other]
            try:
                while True:
                    sent += one.send(bytes(1 << 16))
            except BlockingIOError:
                pass
        os.write(writer, str(sent).encode())
        signal.pause()
    os.close(writer)
    total += int(os.read(reader, 100) or 0)
print(total >> 20)
if {stay}:
    os.waitpid(-1, 0)
for child in children:
    os.kill(child, 9)
"""
CROWD = """
children = []
for _ in range(60):
    children.append(os.fork())
    if children[-1] == 0:
        held = [socket.socketpair() for _ in range(40)]
        signal.pause()
for child in children:
    os.waitpid(child, 0)
"""
NAMED_FILE = """
import mmap
def shared(descriptor, flags):
    memory = mmap.mmap(descriptor, 180 << 20, flags)
    for start in range(0, len(memory), 1 << 20):
        memory[start : start + (1 << 20)] = bytes(1 << 20)
    return memory
with open("/tmp/memfd:cellblock-likeness (deleted)", "w+b") as file:
    file.truncate(180 << 20)
    held = [shared(file.fileno(), mmap.MAP_SHARED), shared(-1, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)]
print("held")
signal.pause()
"""
COPIED_LIKENESS = """
import mmap
name = "/memfd:cellblock-likeness"
start, end = next((int(bound, 16) for bound in line.split()[0].split("-")) for line in open("/proc/self/maps") if name in line)
libc.mremap.restype = ctypes.c_void_p
for _ in range(-(-(180 << 20) // (end - start))):
    libc.mremap(ctypes.c_void_p(start), ctypes.c_size_t(end - start), ctypes.c_size_t(end - start), 5, None)
    ctypes.memset(start, 1, end - start)
memory = mmap.mmap(-1, 180 << 20)
for start in range(0, len(memory), 1 << 20):
    memory[start : start + (1 << 20)] = bytes(1 << 20)
print("held")
signal.pause()
"""
HIDE = "libc.prctl(4, 0, 0, 0, 0); print(libc.prctl(3, 0, 0, 0, 0))"  # PR_SET_DUMPABLE, PR_GET_DUMPABLE
FORK = """
children = []
try:
    while len(children) < 500:
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
        children.append(child)
except OSError as error:
    print(errno.errorcode[error.errno], end=" ")
print(len(children))
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""
BURN = """
import time
start, used = time.monotonic(), time.process_time()
while time.monotonic() < start + 1.5:
    pass
print((time.process_time() - used) / (time.monotonic() - start))
"""
BURN_TWICE = """
import time
child = os.fork()
start, used = time.monotonic(), time.process_time()
while time.monotonic() < start + 1.5:
    pass
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
spent = resource.getrusage(resource.RUSAGE_CHILDREN)
print((time.process_time() - used + spent.ru_utime + spent.ru_stime) / 1.5)
"""
WIDEN = "print(attempt(os.sched_setaffinity, 0, range(1024)), len(os.sched_getaffinity(0)))"
OPEN_ALL = """
held = []
try:
    while len(held) < 5000:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    print(errno.errorcode[error.errno], len(held))
"""
SPARSE = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open("sparse", "wb") as file:
    print(attempt(file.truncate, {size}))
"""
FILL = """
with open("{path}", "wb", buffering=0) as file:
    total = 0
    try:
        while total < 200 << 20:
            total += file.write(bytes(1 << 16))
    except OSError as error:
        print(errno.errorcode[error.errno], total >> 20)
"""
FILL_EVERYTHING = "\n".join(FILL.format(path=path) for path in ("big", "/tmp/big", "/dev/shm/big", "/home/cell/big"))


@pytest.fixture(scope="module", params=["v2", "v1", "none"])
def limited(request: pytest.FixtureRequest, built_runtime: Runtime) -> Iterator[Bench]:
    """A node with this kind of limits."""
    with limited_by(request.param, built_runtime) as bench:
        yield bench


def killed_for_memory(run: Run, megabytes: int) -> bool:
    return f"reached its memory limit of {megabytes} MB" in run.note


def test_memory_of_one_process_is_bounded_and_told(limited: Bench) -> None:
    with limited.cell(memory_bytes=NO_BARRIER) as roomy, limited.cell(memory_bytes=256 * MIB) as tight:
        assert roomy.probe(EAT) == "450"
        run = tight.run(EAT_AND_STAY)
        assert (run.outcome, run.exit_code) == ("killed", 137)
        assert killed_for_memory(run, 256)
        assert "variables are lost" in run.note
        assert tight.probe("print('alive')") == "alive"


def test_memory_of_a_command_is_bounded_and_told_and_the_kernel_is_kept(limited: Bench) -> None:
    with limited.cell(memory_bytes=256 * MIB) as tight:
        tight.probe("kept = 1")
        run = tight.command(f'python -c "{EAT_AND_STAY}"')
        assert run.exit_code == 137
        assert killed_for_memory(run, 256)
        assert tight.probe("print(kept)") == "1"


def test_six_processes_of_450_mb_do_not_get_through(limited: Bench) -> None:
    with limited.cell(memory_bytes=NO_BARRIER) as roomy:
        assert roomy.probe(EAT_IN_SIX.format(megabytes=60, stay=False)) == "6"
    with limited.cell(memory_bytes=512 * MIB) as tight:
        run = tight.run(PRELUDE + EAT_IN_SIX.format(megabytes=450, stay=True))
        assert killed_for_memory(run, 512)
        assert tight.probe("print('alive')") == "alive"


def test_a_death_for_memory_is_told_once(limited: Bench) -> None:
    with limited.cell(memory_bytes=256 * MIB) as tight:
        assert killed_for_memory(tight.run(EAT_AND_STAY), 256)
        assert tight.run("print(1)").note == ""


def test_a_kernel_killed_by_the_user_is_not_said_to_have_used_up_memory(limited: Bench) -> None:
    with limited.cell() as cell:
        assert "memory limit" not in cell.run("import os; os.kill(os.getpid(), 9)").note


def test_processes_share_what_they_inherit(limited: Bench) -> None:
    """Six children of a kernel with 150 MB have them together, not each."""
    with limited.cell(memory_bytes=512 * MIB) as cell:
        cell.probe("data = bytearray(b'x') * (150 << 20)")
        assert cell.probe(EAT_IN_SIX.format(megabytes=10, stay=False)) == "6"


def test_what_waits_in_sockets_is_bounded_and_told(limited: Bench) -> None:
    with limited.cell(memory_bytes=NO_BARRIER) as roomy, limited.cell(memory_bytes=256 * MIB) as tight:
        assert int(roomy.probe(FILL_SOCKETS.format(pairs=480, stay=False))) > 60
        run = tight.run(PRELUDE + FILL_SOCKETS.format(pairs=480, stay=True))
        assert killed_for_memory(run, 256)
        assert tight.probe("print('alive')") == "alive"


@pytest.mark.parametrize("limited", ["none"], indirect=True)  # what waits in no socket is no memory where the kernel counts
def test_a_crowd_that_is_over_the_limit_together_is_ended(limited: Bench) -> None:
    with limited.cell(memory_bytes=512 * MIB) as tight:
        assert killed_for_memory(tight.run(PRELUDE + CROWD), 512)
        assert tight.probe("print('alive')") == "alive"
        assert int(tight.shell("ls -d /proc/[0-9]* | wc -l")) < 20


def test_a_process_that_hides_from_its_own_user_is_measured_all_the_same(limited: Bench) -> None:
    with limited.cell(memory_bytes=256 * MIB) as tight:
        assert tight.probe(HIDE) == "0"
        assert killed_for_memory(tight.run(EAT_AND_STAY), 256)


@pytest.mark.parametrize("code", [NAMED_FILE, COPIED_LIKENESS], ids=["a file of that name", "changed copies of it"])
def test_memory_that_looks_like_what_sessions_have_in_common_counts_as_any_other(limited: Bench, code: str) -> None:
    if code is COPIED_LIKENESS and os.uname().machine != "x86_64":
        pytest.skip("needs an x86_64 processor: sessions have memory in common on no other")
    with limited.cell(memory_bytes=300 * MIB, tmp_bytes=200 * MIB) as tight:
        run = tight.run(PRELUDE + code, timeout_seconds=20)
        assert killed_for_memory(run, 300), run
        assert tight.probe("print('alive')") == "alive"


def test_processes_are_bounded(limited: Bench) -> None:
    with limited.cell(process_count=40) as cell:
        word, count = cell.probe(FORK).split()
        assert (word, int(count) < 40) == ("EAGAIN", True)
        assert cell.probe("print('alive')") == "alive"


@pytest.mark.parametrize("limited", ["v2", "v1"], indirect=True)  # sampling does not bound it
def test_cpu_time_is_bounded(limited: Bench) -> None:
    with limited.cell(cpus=0.25) as cell:
        assert float(cell.probe(BURN)) < 0.5


def test_no_more_is_used_than_the_processors_that_a_cell_is_bound_to(limited: Bench) -> None:
    """Of two it would be 2.0 on an idle host."""
    with limited.cell(cpus=1.0) as cell:
        cell.probe(WIDEN)
        assert float(cell.probe(BURN_TWICE)) < 1.3


def test_a_cell_does_not_choose_its_processors(limited: Bench) -> None:
    with limited.cell(cpus=1.0) as cell:
        assert cell.probe(WIDEN) == "EPERM 1"


def test_open_files_are_bounded(limited: Bench) -> None:
    with limited.cell() as cell:
        word, count = cell.probe(OPEN_ALL).split()
        assert (word, 900 < int(count) < 1024) == ("EMFILE", True)


def test_size_of_a_file_is_bounded(limited: Bench) -> None:
    with limited.cell(workspace_bytes=8 * MIB, tmp_bytes=8 * MIB) as cell:
        assert cell.probe(SPARSE.format(size=16 * MIB)) == "done"
        assert cell.probe(SPARSE.format(size=16 * MIB + 1)) == "EFBIG"


@pytest.mark.parametrize("path", ["big", "/tmp/big", "/dev/shm/big", "/home/cell/big"])
def test_a_full_disk_is_the_codes_own_error(limited: Bench, path: str) -> None:
    with limited.cell(workspace_bytes=16 * MIB, tmp_bytes=16 * MIB) as cell:
        word, megabytes = cell.probe(FILL.format(path=path)).split()
        assert (word, 10 <= int(megabytes) <= 16) == ("ENOSPC", True)
        assert cell.probe("print('alive')") == "alive"


def test_files_and_memory_filled_to_the_brim_do_not_end_the_session(limited: Bench) -> None:
    with limited.cell(memory_bytes=300 * MIB, workspace_bytes=64 * MIB, tmp_bytes=64 * MIB) as cell:
        cell.call(WriteFiles((FileToWrite("first", bytes(8 * MIB)),)))
        assert cell.probe(FILL_EVERYTHING).count("ENOSPC") == 4
        assert killed_for_memory(cell.run(EAT_AND_STAY), 300)
        cell.call(RemoveFiles(("big",)))
        cell.call(WriteFiles((FileToWrite("first", b"small"),)))
        assert cell.probe("print(open('first').read())") == "small"


def test_a_group_full_of_files_does_not_end_the_session(limited: Bench) -> None:
    """Nothing but files is left to be freed: the next process is killed, and never the agent."""
    with limited.cell(memory_bytes=100 * MIB, workspace_bytes=190 * MIB, tmp_bytes=64 * MIB) as cell:
        cell.command("head -c 160M /dev/zero > big")
        for _ in range(10):
            fill_the_rest(cell)
        cell.call(WriteFiles((FileToWrite("first", bytes(MIB)),)))
        cell.call(RemoveFiles(("big", "rest")))
        assert cell.shell("echo alive") == "alive"
        assert cell.probe("print('alive')") == "alive"


def fill_the_rest(cell: BenchCell) -> None:
    """By programs that take less and less themselves; each may be killed."""
    cell.run("open('rest', 'ab', buffering=0).write(bytes(1 << 20))")
    cell.command("head -c 16K /dev/zero >> rest; echo >> rest")


def test_nothing_is_left_of_a_cells_limits(limited: Bench) -> None:
    before = held()
    with limited.cell() as cell:
        cell.probe("pass")
        assert held() != before
    assert held() == before


def test_the_limit_is_shown_as_the_machines_memory(limited: Bench) -> None:
    with limited.cell(memory_bytes=300 * MIB) as cell:
        shown = dict(line.split(":") for line in cell.shell("cat /proc/meminfo").splitlines())
        assert {shown[name].split()[0] for name in ("MemTotal", "MemFree", "MemAvailable")} == {str(300 * 1024)}
        assert "Read-only" in cell.shell("echo 1 > /proc/meminfo")
