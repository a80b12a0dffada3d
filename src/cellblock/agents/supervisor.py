"""Keeps one agent running: `python -m cellblock.agents.supervisor DATA_DIR NAME PYTHON`, which `cellblock agent deploy` starts."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from cellblock.agents.registry import LOG_NAME, PID_NAME, Agent, directory_of, find
from cellblock.machine.data_directory import DataDirectoryError
from cellblock.machine.endpoint import NoServer, client_variables
from cellblock.machine.pauses import Pauses
from cellblock.settings.table import host_environment, load

SERVE = Path(__file__).parent / "files" / "serve_handler.py"
LOG_BYTES = 5 * 1024 * 1024  # then the log begins anew and the old one is kept beside it
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 60.0
STOP_SECONDS = 10.0
OVERTIME_STATUS = 75  # it ended itself over an invocation that took too long: no reason to wait


class Log:
    """What the agent prints, in a file with a bound."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab")

    def write(self, data: bytes) -> None:
        """Append."""
        if self._file.tell() + len(data) > LOG_BYTES:
            self._file.close()
            self._path.replace(self._path.with_suffix(".1"))
            self._file = self._path.open("ab")
        self._file.write(data)
        self._file.flush()

    def say(self, text: str) -> None:
        """A line of the supervisor's own."""
        self.write(f"[cellblock] {text}\n".encode())

    def pump(self, descriptor: int) -> None:
        """Write what comes until nobody holds the other end."""
        while data := os.read(descriptor, 65536):
            self.write(data)
        os.close(descriptor)


class Supervisor:
    """Starts the agent again whenever it ends, until it is told to stop."""

    def __init__(self, data_dir: Path, agent: Agent, python: Path, log: Log) -> None:
        self._data_dir = data_dir
        self._agent = agent
        self._python = python
        self._log = log
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Until `stop`."""
        pauses = Pauses(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while not self._stopping.is_set():
            status, seconds = self._run_once()
            if self._stopping.is_set():
                return
            wait = 0.0 if status == OVERTIME_STATUS else pauses.after(seconds)
            self._log.say(f"the agent ended with status {status}; it is started again in {wait:g} s")
            self._stopping.wait(wait)

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """A signal handler: let the agent end, and kill it when it does not."""
        self._stopping.set()
        if self._process is not None:
            self._signal(signal.SIGTERM)
            killing = threading.Timer(STOP_SECONDS, self._signal, [signal.SIGKILL])
            killing.daemon = True
            killing.start()

    def _run_once(self) -> tuple[int, float]:
        started = time.monotonic()
        reading, writing = os.pipe()
        arguments = [str(value) for value in (self._agent.handler, self._agent.port, self._agent.memory_mb, self._agent.timeout_seconds)]
        self._process = subprocess.Popen(
            [str(self._python), str(SERVE), *arguments],
            cwd=self._agent.source,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
        )
        os.close(writing)
        pumping = threading.Thread(target=self._log.pump, args=(reading,), daemon=True)
        pumping.start()
        if self._stopping.is_set():
            self._signal(signal.SIGTERM)
        status = self._process.wait()
        self._signal(signal.SIGKILL)  # what it started must not hold its port or its memory
        pumping.join(STOP_SECONDS)
        return status, time.monotonic() - started

    def _environment(self) -> dict[str, str]:
        """The host's, and what leads AWS clients to the server that runs at this moment."""
        environment = host_environment() | {"PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2"}
        try:
            return environment | client_variables(self._data_dir, region=load().region)
        except (NoServer, DataDirectoryError) as error:
            self._log.say(f"the agent finds no code interpreter: {error}")
            return environment

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


def main(arguments: list[str]) -> None:
    """Hold the agent's pid file and keep the agent running until SIGTERM."""
    data_dir, name, python = Path(arguments[0]), arguments[1], Path(arguments[2])
    directory = directory_of(data_dir, name)
    with (directory / PID_NAME).open("a+") as pid_file:
        fcntl.flock(pid_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        pid_file.truncate(0)
        pid_file.write(f"{os.getpid()}\n")
        pid_file.flush()
        supervisor = Supervisor(data_dir, find(data_dir, name), python, Log(directory / LOG_NAME))
        signal.signal(signal.SIGTERM, supervisor.stop)
        supervisor.run()


if __name__ == "__main__":
    main(sys.argv[1:])
