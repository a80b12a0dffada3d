"""The two commands of docs/scaling.md, as they stand there, make a cluster of one machine."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cellblock.machine.data_directory import read_credentials
from cluster_processes import fresh_database
from postgres_server import PostgresServer
from processes import descendants, is_alive
from ray_machines import STORE_BYTES, ray_machines
from running_server import RunningServer, ServedSession, environment, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

DOCUMENT = Path(__file__).parents[2] / "docs" / "scaling.md"
READY_SECONDS = 120
READY = re.compile(r"cellblock is ready on http://0\.0\.0\.0:(\d+)")


def two_commands() -> list[list[str]]:
    """Of the first machine."""
    found = re.search(r"^The first machine:\n\n```sh\n(.+?)```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    first, second = found[1].strip().splitlines()
    return [shlex.split(first), shlex.split(second)]


@contextmanager
def started(command: list[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The program of that name beside this Python; whatever it leaves behind is ended."""
    program = str(Path(sys.executable).with_name(command[0]))
    process = subprocess.Popen([program, *command[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=variables)
    try:
        yield process
    finally:
        below = descendants(process.pid)
        process.terminate()
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()
        for pid in below:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


def test_two_commands_make_a_cluster_of_one_machine(database: PostgresServer, tmp_path: Path) -> None:
    ray, serve = two_commands()
    with ray_machines() as machines, fresh_database(database.url()) as store:
        own = {"--port": str(machines.port)}
        ray = [own.get(before, word) for before, word in zip(["", *ray[:-1]], ray, strict=True)]
        ray += ["--block", "--temp-dir", str(machines.base / "head"), "--object-store-memory", str(STORE_BYTES)]
        serve = [store if word.startswith("postgresql://") else word for word in serve]
        variables = environment(data_dir=tmp_path / "data", port=0, ray_address=machines.address, node_sessions=5)
        with started(ray, machines.environment), started(serve, variables | machines.variables()) as front_end:
            assert front_end.stdout is not None
            found = READY.search(front_end.stdout.readline())
            assert found is not None
            key = read_credentials(tmp_path / "data")
            assert key is not None
            server = RunningServer(front_end, f"http://127.0.0.1:{found[1]}", tmp_path / "data", key.id, key.secret)
            session = until(lambda: begun(server), seconds=READY_SECONDS)
            assert session.printed("print(6 * 7)") == "42"
            session.end()


def begun(server: RunningServer) -> ServedSession | None:
    """A session, or nothing before the node is there."""
    try:
        return server.start()
    except server.data.exceptions.ThrottlingException:
        return None
