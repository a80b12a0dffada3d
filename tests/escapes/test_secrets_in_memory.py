"""A secret of the server in memory that code can read, inherited by a fork or left in a page, would be the attacker's."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator, Sequence

import pytest

from cellblock.runtime.builds import Runtime
from cellblock.sandbox.policy import Policy
from cells import Bench, bench_settings, on_host, weaker_policy
from processes import descendants
from running_server import RunningServer, ServedSession, serving, template_of

HALF = 10
# The two halves of what is looked for stand apart in the searcher's own memory, so that it does not find itself.
SEARCH = """
import os
SPAN = 8 << 20
def holds(data, halves):
    for first, second in halves:
        at = data.find(first)
        while at >= 0:
            if data[at + len(first):at + len(first) + len(second)] == second:
                return True
            at = data.find(first, at + 1)
    return False
def mapped(pid, halves):
    with open(f"/proc/{{pid}}/maps") as maps, open(f"/proc/{{pid}}/mem", "rb", 0) as memory:
        for line in list(maps):
            start, end = (int(bound, 16) for bound in line.split()[0].split("-"))
            if line.split()[1][0] != "r" or "[v" in line:
                continue
            for at in range(start, end, SPAN):
                try:
                    memory.seek(at)
                    data = memory.read(min(SPAN + 4096, end - at))
                except (OSError, OverflowError):
                    continue
                if holds(data, halves):
                    return True
    return False
def told(pid, name, halves):
    with open(f"/proc/{{pid}}/{{name}}", "rb") as file:
        return holds(file.read(), halves)
def look(pid, halves):
    places = []
    for name in ("mapped", "environ", "cmdline"):
        try:
            found = mapped(pid, halves) if name == "mapped" else told(pid, name, halves)
        except OSError:
            continue
        places += [name] if found else ["-"]
    return "".join(f" {{place}}" for place in places)
pids = {pids}
for pid in pids or sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
    print(f"{{pid}}:{{look(pid, {halves})}}")
"""


@pytest.fixture(scope="module")
def marker() -> str:
    """What is looked for."""
    return secrets.token_hex(HALF)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, marker: str) -> Iterator[RunningServer]:
    """A server with a secret in its environment."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOST_TOKEN", marker)
        with serving(tmp_path_factory.mktemp("secrets") / "data", pool_size=0, preload="json") as running:
            yield running


@pytest.fixture(scope="module")
def session(server: RunningServer) -> Iterator[ServedSession]:
    """One that has worked in every way before it is searched."""
    with server.session() as fresh:
        fresh.write(file="content")
        fresh.command("sleep 600 & echo started")
        fresh.invoke("executeCode", language="javascript", code="const kept = 1")
        yield fresh


def with_variable(runtime: Runtime, value: str) -> Policy:
    """A policy that gives cells a secret."""
    policy = weaker_policy(runtime)
    return dataclasses.replace(policy, environment=policy.environment | {"PLANTED": value})


def search(*markers: str, pids: Sequence[int] = ()) -> str:
    """Code that looks for the markers in what it may read of these processes, or of all that it sees."""
    halves = [(marker[: len(marker) // 2].encode(), marker[len(marker) // 2 :].encode()) for marker in markers]
    return SEARCH.format(halves=halves, pids=list(pids))


def where(told: str) -> set[str]:
    """In which kinds of memory it was found."""
    return {place for line in told.splitlines() for place in line.split()[1:]} - {"-"}


def read_of(told: str) -> int:
    """How many processes could be read."""
    return sum("-" in line for line in told.splitlines())


def test_a_secret_in_the_kernels_memory_or_a_programs_environment_is_found(built_runtime: Runtime, marker: str) -> None:
    bench = Bench(bench_settings(), built_runtime, with_variable(built_runtime, marker))
    try:
        with bench.cell() as cell:
            assert where(cell.probe(search(marker))) >= {"mapped"}
            running = cell.begin_command("exec sleep 30")
            assert where(cell.probe(search(marker))) >= {"mapped", "environ"}
            running.cancel()
    finally:
        bench.close()


def test_both_secrets_are_in_the_servers_memory(server: RunningServer, session: ServedSession, marker: str) -> None:
    told = on_host(search(marker, pids=[server.process.pid]))
    if "mapped" not in told and told.count("-") < 2:
        pytest.skip("needs root, or a kernel that lets a process read the memory of another of its user (kernel.yama.ptrace_scope=0)")
    assert where(told) == {"mapped", "environ"}
    assert where(on_host(search(server.secret, pids=[server.process.pid]))) == {"mapped"}


def test_code_finds_neither_in_any_memory_that_it_can_read(server: RunningServer, session: ServedSession, marker: str) -> None:
    told = session.printed(search(marker, server.secret))
    assert read_of(told) >= 3  # its own kernel, Node's and the program in the background
    assert where(told) == set()


def test_a_program_finds_neither(server: RunningServer, session: ServedSession, marker: str) -> None:
    session.write(search=search(marker, server.secret))
    told = session.command("python3 search")["structuredContent"]["stdout"]
    assert read_of(told) >= 3
    assert where(told) == set()


@pytest.mark.root
def test_the_template_and_the_agents_hold_neither_although_no_code_reads_them(
    server: RunningServer, session: ServedSession, marker: str
) -> None:
    template = template_of(server)
    pids = [template, *sorted(descendants(template))]
    told = on_host(search(marker, server.secret, pids=pids))
    assert read_of(told) == len(pids)
    assert where(told) == set()
