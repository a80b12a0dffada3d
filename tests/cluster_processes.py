"""A cluster of plain processes on this machine: nodes and front ends on one PostgreSQL, each with a data directory of its own."""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from cellblock.machine.data_directory import read_credentials
from cellblock.model.resources import ClusterNode
from cellblock.store.postgres import PostgresStore
from processes import descendants, is_alive
from running_server import STOP_SECONDS, RunningServer, environment, until

NODE_READY = re.compile(r"cellblock node (\S+) is ready on (http://\S+)")
FRONT_END_READY = re.compile(r"cellblock is ready on (https?://\S+)")


@dataclass
class ClusterProcess:
    """A node or a front end: its process, its address, and its place."""

    name: str
    process: subprocess.Popen[str]
    url: str
    data_dir: Path

    def kill(self) -> None:
        """As the kernel's out-of-memory killer would; nothing of it stays."""
        below = descendants(self.process.pid)
        self.process.kill()
        self.process.wait(STOP_SECONDS)
        until(lambda: not any(is_alive(pid) for pid in below))

    def pause(self) -> None:
        """Stop it, as a machine that is cut off would look."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM; all that it started must be gone when it is."""
        below = descendants(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(STOP_SECONDS) == 0, self.log()
        until(lambda: not any(is_alive(pid) for pid in below))

    def log(self) -> str:
        """What it wrote to its standard error."""
        return self.data_dir.with_suffix(".log").read_text()


@dataclass
class Cluster:
    """Where its processes are started; they end with the `cluster` block."""

    base: Path
    store: str
    settings: dict[str, object]
    ends: ExitStack
    nodes: list[ClusterProcess] = field(default_factory=list)
    front_ends: list[ClusterProcess] = field(default_factory=list)

    def start_nodes(
        self, *names: str, within: Sequence[str] = (), options: Sequence[str] = (), **settings: object
    ) -> list[ClusterProcess]:  # fmt: skip
        """Start them all at once, by the program `within` when there is one, and wait until they are ready."""
        command = [*within, sys.executable, "-m", "cellblock.cluster.node_server", *options]
        begun = [self._begin(name, command, self._of_node(name, settings)) for name in names]
        started = [self._ready(*one, NODE_READY) for one in begun]
        self.nodes += started
        return started

    def start_front_ends(self, *names: str, **settings: object) -> list[ClusterProcess]:
        """The same for front ends."""
        program = str(Path(sys.executable).with_name("cellblock"))
        begun = [self._begin(name, [program, "serve"], settings) for name in names]
        started = [self._ready(*one, FRONT_END_READY) for one in begun]
        self.front_ends += started
        return started

    def _of_node(self, name: str, settings: dict[str, object]) -> dict[str, object]:
        return {"node_name": name} | settings

    def _begin(self, name: str, command: list[str], settings: dict[str, object]) -> tuple[str, subprocess.Popen[str], Path]:
        data_dir = self.base / name
        own = {"cluster": "manual", "store": self.store, "secrets_key_file": self.key_file, "data_dir": data_dir, "port": 0}
        variables = environment(**(own | self.settings | settings))
        with data_dir.with_suffix(".log").open("a") as errors:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, env=variables)
        self.ends.callback(_end, process)
        return name, process, data_dir

    def _ready(self, name: str, process: subprocess.Popen[str], data_dir: Path, pattern: re.Pattern[str]) -> ClusterProcess:
        assert process.stdout is not None
        line = process.stdout.readline()  # ends when the process ends
        found = pattern.fullmatch(line.strip())
        assert found, f"{name} did not start: {line}{data_dir.with_suffix('.log').read_text()}"
        return ClusterProcess(name, process, found.groups()[-1], data_dir)

    @cached_property
    def key_file(self) -> Path:
        """The key that opens the secrets in the database, the same for all."""
        path = self.base / "secrets.key"
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(32))
        return path

    def table(self, *, with_ended: bool = False) -> list[ClusterNode]:
        """The nodes as the database has them."""

        async def read() -> list[ClusterNode]:
            store = await PostgresStore.open(self.store, self.base / "command", secrets_key=self.key_file)
            try:
                return list(await store.list_nodes(with_ended=with_ended))
            finally:
                await store.close()

        return asyncio.run(read())

    def stop(self) -> None:
        """Front ends first, then nodes; those that the test has ended are left out."""
        for one in (*self.front_ends, *self.nodes):
            if one.process.poll() is None:
                one.stop()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextmanager
def cluster(base: Path, database_url: str, **settings: object) -> Iterator[Cluster]:
    """A cluster on a database of its own, without nodes and front ends; what still runs at the end must stop cleanly."""
    base.mkdir(parents=True, exist_ok=True)
    with fresh_database(database_url) as store, ExitStack() as ends:
        made = Cluster(base, store, settings, ends)
        yield made
        made.stop()


@contextmanager
def fresh_database(url: str) -> Iterator[str]:
    """A database of that server with nothing in it."""
    name = f"cluster_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield url.replace("/postgres?", f"/{name}?")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@dataclass(frozen=True)
class RunningCluster(RunningServer):
    """A cluster as clients see it: one request goes to the first front end, the next to the second."""

    cluster: Cluster
    turns: Iterator[str]

    @classmethod
    def before(cls, made: Cluster) -> RunningCluster:
        """Its front ends, with the key that the first one has."""
        first = made.front_ends[0]
        key = read_credentials(first.data_dir)
        assert key is not None
        turns = itertools.cycle([one.url for one in made.front_ends])
        return cls(first.process, first.url, first.data_dir, key.id, key.secret, made, turns)

    def client(self, service: str, **config: Any) -> Any:
        """As for one server; each attempt of each request goes to the next front end."""
        client = super().client(service, **config)
        client.meta.events.register("before-sign", self._take_turns)
        return client

    def _take_turns(self, request: Any, **_: object) -> None:
        address, _, rest = request.url.removeprefix("http://").partition("/")
        assert any(address in one.url for one in self.cluster.front_ends)
        request.url = f"{next(self.turns)}/{rest}"

    @property
    def homes(self) -> list[int]:
        """See RunningServer."""
        return [node.process.pid for node in self.cluster.nodes]

    def operator_environment(self, **settings: object) -> dict[str, str]:
        """See RunningServer."""
        return environment(store=self.cluster.store, secrets_key_file=self.cluster.key_file, **settings)

    def nodes(self, *, with_ended: bool = False) -> list[ClusterNode]:
        """The table of nodes."""
        return self.cluster.table(with_ended=with_ended)


@contextmanager
def serving_cluster(data_dir: Path, database_url: str, **settings: object) -> Iterator[RunningCluster]:
    """Two nodes and two front ends in the place of one server."""
    with cluster(data_dir.parent, database_url, **settings) as made:
        made.start_front_ends(data_dir.name, f"{data_dir.name}-b")
        made.start_nodes("n1", "n2")
        for one in made.front_ends:
            until(lambda: one.log().count('"event":"node seen"') >= 2)  # noqa: B023
        yield RunningCluster.before(made)
