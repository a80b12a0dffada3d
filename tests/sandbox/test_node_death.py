"""A host that is killed: no template, no agent and nothing that its cells ran outlives it."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellblock.runtime.builds import Runtime
from cells import wait_gone
from processes import is_alive

SCRIPT = Path(__file__).parent.parent / "node_process.py"
START_SECONDS = 60


@pytest.fixture
def host(built_runtime: Runtime) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, str(SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def said(host: subprocess.Popen[str]) -> dict[str, list[int]]:
    assert host.stdout is not None
    assert select.select([host.stdout], [], [], START_SECONDS)[0]
    found = json.loads(host.stdout.readline())
    return {"template": [found["template"]], "below": found["below"]}


def test_nothing_outlives_a_killed_host(host: subprocess.Popen[str]) -> None:
    processes = said(host)
    assert len(processes["below"]) >= 6  # two cells: an agent, a kernel and an orphan each
    host.kill()
    assert all(wait_gone(pid) for pid in processes["template"] + processes["below"])
    assert not any(is_alive(pid) for pid in processes["below"])
