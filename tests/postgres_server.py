"""A PostgreSQL of the tests' own, from Debian's programs, on a Unix socket in a directory of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

PROGRAMS = Path("/usr/lib/postgresql")
USER = "cellblock"
PASSWORD_FREE = "trust"


@dataclass(frozen=True)
class PostgresServer:
    """A running server; `stop` and `start` are for tests of its absence."""

    programs: Path
    directory: Path
    user: str | None

    def url(self) -> str:
        """Of its database."""
        return f"postgresql://{USER}@/postgres?host={self.directory}"

    def emptied(self) -> str:
        """The URL of its database, with nothing in it."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS public CASCADE")
            connection.execute("CREATE SCHEMA public")
        return self.url()

    @property
    def pid(self) -> int:
        """Of its first process; all others are below."""
        return int((self._data / "postmaster.pid").read_text().splitlines()[0])

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-k {self.directory} -c listen_addresses='' -c fsync=off -c max_connections=120 -c shared_buffers=16MB"
        self._run("pg_ctl", "-D", str(self._data), "-w", "-t", "60", "-l", str(self.directory / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop it; its clients lose their connections."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "-t", "60", "-m", "fast", "stop")

    def make(self) -> None:
        """Make its files."""
        self._run("initdb", "-D", str(self._data), "-U", USER, "--auth", PASSWORD_FREE, "--encoding", "UTF8", "--no-sync")

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _run(self, program: str, *words: str) -> None:
        command = [str(self.programs / program), *words]
        done = subprocess.run(
            command, user=self.user, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=90, check=False
        )
        assert done.returncode == 0, f"{program} failed"


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A server for the block; the test is skipped where PostgreSQL is not installed."""
    found = sorted(PROGRAMS.glob("*/bin/initdb"))
    if not found:
        pytest.skip("needs PostgreSQL (apt install postgresql)")
    user = _user()
    directory = Path(tempfile.mkdtemp(prefix="cellblock-pg-", dir="/tmp"))  # a socket's path is short, and pytest's directories are closed
    if user is not None:
        os.chown(directory, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    server = PostgresServer(found[-1].parent, directory, user)
    try:
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)


def _user() -> str | None:
    """Whom it runs as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
