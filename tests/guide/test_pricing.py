"""The guide's "Pricing": each row of its billing components, by what `cellblock usage` prints of sessions that really ran."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from running_server import CELLBLOCK, environment, serving

LEAST_GB_SECONDS = 0.125
BURN = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"

Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What three sessions are charged, by what they did."""
    data_dir: Path = tmp_path_factory.mktemp("pricing") / "data"
    ids = {}
    with serving(data_dir) as server:
        for name, code in (("short", "1"), ("waits", "import time; time.sleep(2)"), ("computes", BURN)):
            with server.session() as session:
                session.run(code)
                ids[session.id] = name
    command = [CELLBLOCK, "usage", "--by", "session", "--json", "--data-dir", data_dir]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment()).stdout)
    assert found["prices"] == {"vcpu_hour": 0.0895, "gb_hour": 0.00945, "currency": "USD"}
    return {ids[row["session"]]: row for row in found["rows"]}


def test_cpu_is_charged_by_actual_usage(bill: Rows) -> None:
    assert 0.5 <= bill["computes"]["cpu_seconds"] < 2.0
    assert bill["computes"]["vcpu_hours"] == pytest.approx(bill["computes"]["cpu_seconds"] / 3600)


def test_io_wait_is_free(bill: Rows) -> None:
    assert bill["waits"]["elapsed_seconds"] >= 2.0
    assert bill["waits"]["cpu_seconds"] < 0.5


def test_memory_is_charged_by_the_gb_second(bill: Rows) -> None:
    assert bill["waits"]["gb_hours"] * 3600 >= 2 * LEAST_GB_SECONDS


def test_minimum_billing_is_one_second_of_128_mb(bill: Rows) -> None:
    assert bill["short"]["gb_hours"] * 3600 >= LEAST_GB_SECONDS * 0.999


def test_cost_is_the_published_prices_times_the_amounts(bill: Rows) -> None:
    for row in bill.values():
        assert row["cost"] == pytest.approx(row["vcpu_hours"] * 0.0895 + row["gb_hours"] * 0.00945)
