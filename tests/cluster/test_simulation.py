"""What the simulation of a large cluster claims holds of a small one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "cluster_simulation.py"
SMALL = ["--nodes", "100", "--capacity", "50", "--sessions", "4000", "--front-ends", "8", "--starts", "200", "--seconds", "2"]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    done = subprocess.run([sys.executable, SCRIPT, "--json", *SMALL], capture_output=True, text=True, check=True, timeout=60)
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def measured(found: dict[str, Any], promise: str) -> float:
    return next(float(one["measured"]) for one in found["promises"] if one["promise"] == promise)


def test_front_ends_with_old_figures_spread_sessions_evenly(found: dict[str, Any]) -> None:
    assert measured(found, "simulation-spread") < 1.2


def test_nothing_is_refused_while_a_twentieth_of_the_room_is_free(found: dict[str, Any]) -> None:
    assert measured(found, "simulation-refused") == 0


def test_no_node_gets_more_than_its_room_and_none_stays_empty(found: dict[str, Any]) -> None:
    rows = [row for row in found["rows"] if row["what"].startswith("sessions of a node")]
    assert rows
    assert all(0 < row["min"] <= row["max"] <= 50 for row in rows)
