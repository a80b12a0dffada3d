"""A host that has no more memory or processes: what is refused says so and may be tried again, and what lives goes on."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from running_server import BUILT_IN, RunningServer, refused, serving, templates_of

MEMORY, PROCESSES = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup/pids")
MIB = 1 << 20
HOLD = "data = bytearray(b'x') * ({megabytes} << 20); print(len(data) >> 20)"
EAT = "import signal; data = bytearray(b'x') * (400 << 20); signal.pause()"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Of its own, and without cells in reserve, so that each start needs the host."""
    with serving(tmp_path_factory.mktemp("full") / "data", pool_size=0) as running:
        yield running


@contextmanager
def no_more_processes(server: RunningServer) -> Iterator[Callable[[], None]]:
    """No template can clone itself, until the block ends or what it gets is called."""
    with ExitStack() as limits:
        limit = full_group if os.geteuid() == 0 else low_limit
        make_rooms = [limits.enter_context(limit(template)) for template in templates_of(server)]

        def make_room() -> None:
            for make_one in make_rooms:
                make_one()

        yield make_room


@contextmanager
def low_limit(template: int) -> Iterator[Callable[[], None]]:
    """setrlimit(2) for another process, which root of a container may not do."""
    usual = resource.prlimit(template, resource.RLIMIT_NPROC)
    resource.prlimit(template, resource.RLIMIT_NPROC, (0, usual[1]))

    def make_room() -> None:
        resource.prlimit(template, resource.RLIMIT_NPROC, usual)

    yield make_room
    make_room()


@contextmanager
def full_group(template: int) -> Iterator[Callable[[], None]]:
    """A control group that may hold no process more than the one that is moved there."""
    if not (PROCESSES / "tasks").exists():
        pytest.skip("needs the controller of processes in a hierarchy of cgroup v1")
    group = own_group(PROCESSES) / f"host-{os.getpid()}-{template}"
    group.mkdir()
    (group / "pids.max").write_text("1")
    (group / "cgroup.procs").write_text(str(template))

    def make_room() -> None:
        (group.parent / "cgroup.procs").write_text(str(template))

    yield make_room
    make_room()
    group.rmdir()


def own_group(controller: Path) -> Path:
    """This process's directory."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    return controller / next(line.split(":")[2] for line in lines if f":{controller.name}:" in line).lstrip("/")


@pytest.fixture
def outer() -> Iterator[Path]:
    """A memory group around a whole server, as that of a container."""
    group = own_group(MEMORY) / f"host-{os.getpid()}"
    group.mkdir()
    yield group
    group.rmdir()


@contextmanager
def inside(group: Path) -> Iterator[None]:
    """What this thread starts meanwhile is in the group."""
    (group / "tasks").write_text("0")
    try:
        yield
    finally:
        (group.parent / "tasks").write_text("0")


def start_error(server: RunningServer) -> tuple[int, str, str]:
    error = refused(server.data.start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN)
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"], error["Error"]["Message"]


def test_a_host_without_another_process_refuses_a_start_for_now_and_what_lives_goes_on(server: RunningServer) -> None:
    with server.session() as session:
        session.printed("kept = 1")
        with no_more_processes(server):
            status, code, message = start_error(server)
            assert (status, code) == (429, "ThrottlingException")
            assert "has no room for another session" in message
            assert "try again" in message
            assert session.printed("print(kept)") == "1"
        with server.session() as later:
            assert later.printed("print('later')") == "later"


def test_starts_that_a_full_host_refused_do_not_count_against_the_quota(server: RunningServer) -> None:
    with no_more_processes(server):
        assert {start_error(server)[1] for _ in range(12)} == {"ThrottlingException"}  # ten sessions are the quota
    with server.session() as later:
        assert later.printed("print('later')") == "later"


def test_a_stock_client_tries_a_start_again_until_the_host_has_room(server: RunningServer) -> None:
    client = server.client("bedrock-agentcore", retries={"mode": "standard", "total_max_attempts": 5})
    answers: list[int] = []
    with no_more_processes(server) as make_room:

        def make_room_after_two(response_dict: dict[str, Any], **_event: object) -> None:
            answers.append(response_dict["status_code"])
            if len(answers) == 2:
                make_room()

        client.meta.events.register("response-received.bedrock-agentcore.StartCodeInterpreterSession", make_room_after_two)
        assert client.start_code_interpreter_session(codeInterpreterIdentifier=BUILT_IN)["sessionId"]
    assert answers == [429, 429, 200]


@pytest.mark.root
@pytest.mark.skipif(not (MEMORY / "tasks").exists(), reason="needs the memory controller in a hierarchy of cgroup v1")
def test_a_host_out_of_memory_takes_the_largest_user_process_says_so_and_goes_on(tmp_path: Path, outer: Path) -> None:
    with inside(outer):
        starting = serving(tmp_path / "data", pool_size=0)
        server = starting.__enter__()
    try:
        with server.session() as small, server.session() as large:
            assert small.printed(HOLD.format(megabytes=50)) == "50"
            used = int((outer / "memory.usage_in_bytes").read_text())
            (outer / "memory.limit_in_bytes").write_text(str(used + 200 * MIB))
            result = large.run(EAT)
            assert (result["isError"], result["structuredContent"]["exitCode"]) == (True, 137)
            assert "The machine ran out of memory" in result["structuredContent"]["stderr"]
            assert "limit of 512 MB" not in result["structuredContent"]["stderr"]
            assert "variables are lost, files are kept" in result["structuredContent"]["stderr"]
            assert small.printed("print(len(data) >> 20)") == "50"
            assert large.printed("print('alive')") == "alive"
            with server.session() as later:
                assert later.printed("print('later')") == "later"
    finally:
        (outer / "memory.limit_in_bytes").write_text("-1")
        starting.__exit__(None, None, None)
