"""An agent without confinement, forked from a process of the runtime's Python."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cell.client import AgentClient, AgentTemplate
from cellblock.runtime.layout import Runtime

SOURCE = Path(__file__).parents[2] / "src"
MODULES = ["numpy", "pandas", "matplotlib.pyplot", "PIL.Image"]


@pytest.fixture(scope="session")
def runtime_python(built_runtime: Runtime) -> str:
    """The Python that cells use."""
    return str(built_runtime.on_host(built_runtime.python))


@pytest.fixture(scope="module")
def template(built_runtime: Runtime, runtime_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentTemplate]:
    """One warm process a module."""
    home = tmp_path_factory.mktemp("home")
    environment = {
        "PATH": f"{Path(runtime_python).parent}:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "MPLCONFIGDIR": str(built_runtime.path / "matplotlib"),
    }
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            process = subprocess.Popen(
                [runtime_python, str(Path(__file__).with_name("agent_template.py")), str(theirs.fileno()), *MODULES],
                env={**environment, "PYTHONPATH": str(SOURCE), "OPENBLAS_NUM_THREADS": "1"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
            )
        ours.settimeout(60)
        assert ours.recv(16) == b"ready"
        yield AgentTemplate(ours, environment)
    assert process.wait(10) == 0


@pytest.fixture
def agent(template: AgentTemplate, tmp_path: Path) -> Iterator[AgentClient]:
    """A fresh agent with an empty workspace."""
    with template.agent(tmp_path) as client:
        yield client
