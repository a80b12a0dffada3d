"""Agents of this machine: what `cellblock agent create` was told, kept in the data directory, one directory each."""

from __future__ import annotations

import json
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from cellblock.errors import CommandFailed
from cellblock.machine.data_directory import prepare_data_directory

DIRECTORY, FILE_NAME, LOG_NAME, PID_NAME, ENVIRONMENT = "agents", "agent.json", "log", "pid", "environment"
REQUIREMENTS = "requirements.txt"
NAME_FORM = r"[a-zA-Z][a-zA-Z0-9_-]{0,47}"
HANDLER_FORM = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+"


class AgentError(CommandFailed):
    """An agent cannot be made, found or started; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A handler, where it lies, and what it may use. `python` is empty for an environment of its own."""

    name: str
    handler: str
    source: str
    requirements: str
    runtime: str
    python: str
    port: int
    memory_mb: int
    timeout_seconds: int

    @property
    def url(self) -> str:
        """Where it answers /invocations and /ping."""
        return f"http://127.0.0.1:{self.port}"


def directory_of(data_dir: Path, name: str) -> Path:
    """Where an agent is kept. Raises AgentError for a name that could not be one."""
    if not re.fullmatch(NAME_FORM, name):
        raise AgentError(f"{name!r} is no name of an agent: a letter, then up to 47 letters, digits, - and _")
    return data_dir / DIRECTORY / name


def create(data_dir: Path, agent: Agent) -> None:
    """Keep a new agent. Raises AgentError when there is one of this name, or its handler has no file."""
    directory = directory_of(data_dir, agent.name)
    _check_handler(agent)
    prepare_data_directory(data_dir)
    try:
        directory.mkdir(parents=True)
    except FileExistsError as error:
        raise AgentError(f"there is an agent {agent.name}; delete it first: cellblock agent delete --name {agent.name}") from error
    temporary = directory / f".{FILE_NAME}"
    temporary.write_text(json.dumps(asdict(agent), indent=2) + "\n")
    temporary.rename(directory / FILE_NAME)


def find(data_dir: Path, name: str) -> Agent:
    """The agent. Raises AgentError."""
    try:
        return Agent(**json.loads((directory_of(data_dir, name) / FILE_NAME).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise AgentError(f"there is no agent {name}; make it: cellblock agent create --name {name} --handler MODULE.FUNCTION") from error


def every(data_dir: Path) -> Iterator[Agent]:
    """All of them, by name."""
    for path in sorted((data_dir / DIRECTORY).glob(f"*/{FILE_NAME}")):
        yield find(data_dir, path.parent.name)


def remove(data_dir: Path, name: str) -> None:
    """Forget an agent, with its environment and its log."""
    shutil.rmtree(directory_of(data_dir, name))


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _check_handler(agent: Agent) -> None:
    if not re.fullmatch(HANDLER_FORM, agent.handler):
        raise AgentError(f"{agent.handler!r} is no handler; write MODULE.FUNCTION, as in agent_handler.handler")
    path = Path(agent.source, *agent.handler.split(".")[:-1])
    if not path.with_suffix(".py").is_file() and not (path / "__init__.py").is_file():
        raise AgentError(f"the handler's module {path.with_suffix('.py')} is not there; --source names another directory")
