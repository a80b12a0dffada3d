"""The soak in its short form: mixed real work of sessions at once, every answer right and nothing left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "soak.py"
SHORT_FORM = ("--count", "40", "--in-flight", "8", "--warm-up", "24", "--limit", "10", "--rest", "0", "--json")


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """What the script found."""
    done = subprocess.run([sys.executable, SCRIPT, *SHORT_FORM], capture_output=True, text=True, timeout=110)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_answer_of_a_soak_is_right_and_nothing_is_left(report: dict[str, Any]) -> None:
    missed = {verdict["what"]: verdict["measured"] for verdict in report["promises"] if not verdict["is_held"]}
    assert missed == {}, report["facts"]


def test_soak_does_every_kind_of_work(report: dict[str, Any]) -> None:
    assert {row["count"] for row in report["rows"]} == {5}
    assert len(report["rows"]) == 8


def test_server_logs_no_fault_during_a_soak(report: dict[str, Any]) -> None:
    assert report["facts"]["faults in the server's log"] == "0"
