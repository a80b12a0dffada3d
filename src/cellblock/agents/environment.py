"""The Python of an agent: an environment with its requirements and the SDK's runtime app, made by uv."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from uv import find_uv_bin

from cellblock.agents.registry import ENVIRONMENT, Agent, AgentError

RUNTIME_APP = "bedrock-agentcore>=1.0"
BUILD_SECONDS = 1800
SHOWN_CHARACTERS = 2000
MARK = ".cellblock-requirements"  # written last


def python_of(agent: Agent, directory: Path) -> Path:
    """The interpreter that runs the agent, made when it is not there or its requirements have changed. Raises AgentError."""
    if agent.python:
        return Path(agent.python)
    place = directory / ENVIRONMENT
    wanted = _digest(agent)
    mark = place / MARK
    if not mark.is_file() or mark.read_text() != wanted:
        shutil.rmtree(place, ignore_errors=True)
        _build(agent, place)
        mark.write_text(wanted)
    return place / "bin" / "python"


def _build(agent: Agent, place: Path) -> None:
    version = agent.runtime.removeprefix("python") or f"{sys.version_info.major}.{sys.version_info.minor}"
    _run("venv", "--quiet", "--no-project", "--no-python-downloads", "--python", version, str(place))
    requirements = ["--requirement", agent.requirements] if agent.requirements else []
    _run("pip", "install", "--quiet", "--python", str(place / "bin" / "python"), RUNTIME_APP, *requirements)


def _run(*arguments: str) -> None:
    done = subprocess.run([find_uv_bin(), *arguments], capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    if done.returncode:
        raise AgentError(f"the agent's environment could not be made:\n{(done.stderr or done.stdout)[-SHOWN_CHARACTERS:].strip()}")


def _digest(agent: Agent) -> str:
    content = Path(agent.requirements).read_bytes() if agent.requirements else b""
    return hashlib.sha256(f"{RUNTIME_APP} {agent.runtime}\n".encode() + content).hexdigest()
