"""`cellblock usage` on a server with real cells: what was burnt is what is billed, before and after a restart."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from running_server import BUILT_IN, CELLBLOCK, environment, serving

BURN = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
CHILD = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; grep -h . /proc/self/stat > /dev/null"


def usage(data_dir: Path, *words: str, status: int = 0) -> str:
    command = [CELLBLOCK, "usage", *words]
    done = subprocess.run(command, env=environment(data_dir=data_dir), capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


def rows(data_dir: Path, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(usage(data_dir, *words, "--json"))["rows"]
    return found


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The data directory of a server that has stopped, and the one session that burnt CPU time there."""
    data_dir = tmp_path_factory.mktemp("usage") / "data"
    with serving(data_dir) as server:
        with server.session() as session:
            assert session.run(BURN)["isError"] is False
            assert session.run("import time; time.sleep(1.5)")["isError"] is False
            assert session.command(CHILD)["isError"] is False
        with server.session():
            pass
    return data_dir, session.id


def test_each_call_has_a_row_with_the_time_of_its_children(used: tuple[Path, str]) -> None:
    data_dir, session = used
    burnt, slept, child = rows(data_dir, "--session", session)
    assert [row["tool"] for row in (burnt, slept, child)] == ["executeCode", "executeCode", "executeCommand"]
    assert 0.46 <= burnt["cpu_seconds"] <= burnt["elapsed_seconds"] + 0.2
    assert slept["cpu_seconds"] < 0.4
    assert slept["elapsed_seconds"] >= 1.5
    assert child["cpu_seconds"] >= 0.02
    for row in (burnt, slept, child):
        assert row["gb_hours"] * 3600 >= max(1.0, row["elapsed_seconds"]) * 128 / 1024 - 1e-9


def test_session_has_at_least_what_its_calls_have(used: tuple[Path, str]) -> None:
    data_dir, session = used
    calls = rows(data_dir, "--session", session)
    (row,) = [one for one in rows(data_dir, "--by", "session") if one["session"] == session]
    assert row["calls"] == 3
    assert row["cpu_seconds"] >= sum(call["cpu_seconds"] for call in calls)
    assert row["elapsed_seconds"] >= sum(call["elapsed_seconds"] for call in calls)


@pytest.mark.parametrize(("by", "group"), [("interpreter", BUILT_IN), ("key", None), ("day", None)])
def test_sums_are_of_all_sessions(used: tuple[Path, str], by: str, group: str | None) -> None:
    data_dir, _ = used
    (total,) = rows(data_dir, "--by", by)
    assert total["sessions"] == 2
    assert total["calls"] == 3
    assert group is None or total[by] == group
    assert by != "key" or total["name"] == "first"
    sessions = rows(data_dir, "--by", "session")
    assert total["cpu_seconds"] == pytest.approx(sum(one["cpu_seconds"] for one in sessions))
    assert total["cost"] == pytest.approx(total["vcpu_hours"] * 0.0895 + total["gb_hours"] * 0.00945)


def test_prices_of_a_file_are_used(used: tuple[Path, str], tmp_path: Path) -> None:
    data_dir, _ = used
    prices = tmp_path / "prices.toml"
    prices.write_text('vcpu_hour = 3600\ngb_hour = 0\ncurrency = "EUR"\n')
    lines = usage(data_dir, "--by", "interpreter", "--prices", str(prices), "--csv").splitlines()
    (row,) = csv.DictReader(io.StringIO("\n".join(lines)))
    assert float(row["cost"]) == pytest.approx(float(row["cpu_seconds"]))
    assert usage(data_dir, "--prices", str(prices)).splitlines()[-1].endswith(" EUR")


@pytest.mark.parametrize("content", ["vcpu_hours = 1", "vcpu_hour = 'x'", "gb_hour = -1", "not toml"])
def test_mistake_in_the_prices_is_named(used: tuple[Path, str], tmp_path: Path, content: str) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text(content)
    assert "prices.toml" in usage(used[0], "--prices", str(prices), status=1)


def test_days_choose_what_is_summed_up(used: tuple[Path, str]) -> None:
    data_dir, _ = used
    assert rows(data_dir, "--until", "2020-01-01") == []
    assert rows(data_dir, "--account", "9" * 12) == []
    assert len(rows(data_dir, "--since", "2020-01-01")) == 1


def test_totals_go_on_after_a_restart(used: tuple[Path, str]) -> None:
    data_dir, _ = used
    (before,) = rows(data_dir, "--by", "interpreter")
    with serving(data_dir) as server, server.session() as session:
        session.run(BURN)
    (after,) = rows(data_dir, "--by", "interpreter")
    assert (after["sessions"], after["calls"]) == (before["sessions"] + 1, before["calls"] + 1)
    assert after["cpu_seconds"] > before["cpu_seconds"]
    (single,) = [row for row in rows(data_dir, "--by", "session") if row["session"] == session.id]
    assert single["gb_hours"] * 3600 >= 128 / 1024 - 1e-9, "a session is billed for a second at least"
