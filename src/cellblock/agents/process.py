"""The background process of an agent: started, asked about, stopped."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from cellblock.agents.registry import LOG_NAME, PID_NAME, Agent, AgentError

READY_SECONDS = 60.0
STOP_SECONDS = 30.0
PING_SECONDS = 2.0
PAUSE_SECONDS = 0.1
SHOWN_LINES = 15


def supervisor_pid(directory: Path) -> int | None:
    """The process that keeps the agent running; it holds a lock on the pid file, so a stale number is never believed."""
    try:
        with (directory / PID_NAME).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read().strip() or 0) or None
    except OSError:
        pass
    return None


def start(data_dir: Path, directory: Path, agent: Agent, python: Path) -> None:
    """Start the supervisor in a session of its own, and wait until the agent is healthy. Raises AgentError, with what it printed."""
    command = [sys.executable, "-m", "cellblock.agents.supervisor", str(data_dir), agent.name, str(python)]
    with (directory / LOG_NAME).open("ab") as log:
        log_start = log.tell()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True)
    limit = time.monotonic() + READY_SECONDS
    while not is_healthy(agent):
        if process.poll() is not None or time.monotonic() > limit or _has_failed(directory, log_start):
            stop(directory)
            raise AgentError(f"the agent {agent.name} does not answer:\n{_tail(directory, log_start)}")
        select.select([], [], [], PAUSE_SECONDS)


def is_healthy(agent: Agent) -> bool:
    """Whether GET /ping says so."""
    try:
        return httpx.get(f"{agent.url}/ping", timeout=PING_SECONDS, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def stop(directory: Path) -> None:
    """End the agent and its supervisor, and wait. Raises AgentError when they do not."""
    pid = supervisor_pid(directory)
    if pid is None:
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        ready, _, _ = select.select([descriptor], [], [], STOP_SECONDS)
        if not ready:
            raise AgentError(f"process {pid} does not end; end it with: kill -9 {pid}")
    finally:
        os.close(descriptor)


def log_text(directory: Path, lines: int) -> str:
    """The last lines of what the agent printed."""
    try:
        return "\n".join((directory / LOG_NAME).read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _has_failed(directory: Path, start: int) -> bool:
    return "the agent ended with status" in _tail(directory, start)


def _tail(directory: Path, start: int) -> str:
    with (directory / LOG_NAME).open("rb") as log:
        log.seek(start)
        return "\n".join(log.read().decode(errors="replace").splitlines()[-SHOWN_LINES:])
