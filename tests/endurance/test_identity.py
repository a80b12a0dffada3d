"""Live cells of one server apart from each other: host ids of their own under root, namespaces of their own under anybody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from endurance.process_tree import agents_of
from processes import descendants, host_ids
from running_server import RunningServer, ServedSession, serving, until

LIVE = 12
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
LEAVE_A_PROCESS = "sleep 1000 >/dev/null 2>&1 &"


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with sessions that were made side by side, after others had ended, and that run a process each."""
    with serving(tmp_path_factory.mktemp("crowded") / "data", max_sessions=2 * LIVE, pool_size=2) as server:
        with ThreadPoolExecutor(LIVE) as threads:
            earlier = list(threads.map(lambda _: server.start(), range(LIVE)))
            ending = [threads.submit(session.stop) for session in earlier]
            sessions = list(threads.map(lambda _: server.start(), range(LIVE)))
            list(threads.map(lambda session: session.command(LEAVE_A_PROCESS), sessions))
            for end in ending:
                end.result()
        yield server
        for session in sessions:
            session.stop()


def processes_of_cells(server: RunningServer) -> list[set[int]]:
    """Host process ids, cell by cell."""
    return [{agent, *descendants(agent)} for agent in agents_of(server.process.pid)]


def namespaces(pid: int) -> dict[str, str]:
    return {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in NAMESPACES}


@pytest.mark.root
def test_no_two_live_cells_share_a_host_user_id(crowded: RunningServer) -> None:
    ids = [set().union(*(host_ids(pid) for pid in cell)) for cell in processes_of_cells(crowded)]
    assert len(ids) >= LIVE
    assert {len(of_one) for of_one in ids} == {1}
    assert len(set().union(*ids)) == len(ids)


@pytest.mark.root
def test_no_live_cell_has_the_id_of_the_server_or_of_the_template(crowded: RunningServer) -> None:
    ids = set().union(*(host_ids(pid) for cell in processes_of_cells(crowded) for pid in cell))
    template = next(pid for pid in descendants(crowded.process.pid) if agents_of(crowded.process.pid)[0] in descendants(pid))
    assert not ids & (host_ids(crowded.process.pid) | host_ids(template) | {0})


@pytest.mark.parametrize("name", NAMESPACES)
def test_every_live_cell_has_a_namespace_of_its_own(crowded: RunningServer, name: str) -> None:
    def are_distinct() -> bool:
        found = [namespaces(agent)[name] for agent in agents_of(crowded.process.pid)]
        return len(found) >= LIVE and len({*found, namespaces(os.getpid())[name]}) == len(found) + 1

    until(are_distinct)  # a cell that is being made for the pool has not left the host's cgroup namespace yet


def test_every_process_of_a_cell_is_in_its_cells_namespaces(crowded: RunningServer) -> None:
    cells = processes_of_cells(crowded)
    assert all(len({tuple(namespaces(pid).items()) for pid in cell}) == 1 for cell in cells)


def test_a_session_sees_its_own_processes_and_files_alone(crowded: RunningServer) -> None:
    with crowded.session() as first, crowded.session() as second:
        first.write(secret="of the first")
        first.command(LEAVE_A_PROCESS)
        assert _sleepers(first) == "1"
        assert _sleepers(second) == "0"
        assert second.command("ls")["structuredContent"]["stdout"] == ""


def _sleepers(session: ServedSession) -> str:
    code = "import glob\nprint(sum(open(name, 'rb').read().startswith(b'sleep') for name in glob.glob('/proc/[0-9]*/cmdline')))"
    return session.printed(code)
