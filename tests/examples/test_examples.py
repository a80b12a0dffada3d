"""Each program in examples/ runs against a server, with nothing but the variables of `cellblock env`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from running_server import RunningServer, environment

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
OWN_SERVER = "demo.py"


def run(path: Path, *arguments: str, variables: dict[str, str], directory: Path) -> str:
    """What a program prints."""
    command = [sys.executable, str(path), *arguments]
    ended = subprocess.run(command, cwd=directory, env=variables, capture_output=True, text=True, timeout=100)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("path", sorted(set(EXAMPLES.glob("*.py")) - {EXAMPLES / OWN_SERVER}), ids=lambda path: path.name)
def test_example_runs_and_prints_something(server: RunningServer, path: Path, tmp_path: Path) -> None:
    assert run(path, variables=server.client_environment(), directory=tmp_path).strip()


def test_calculation_is_right(server: RunningServer, tmp_path: Path) -> None:
    printed = run(EXAMPLES / "investment.py", variables=server.client_environment(), directory=tmp_path)
    assert "$20,096.61" in printed


def test_summary_is_right(server: RunningServer, tmp_path: Path) -> None:
    printed = run(EXAMPLES / "csv_summary.py", variables=server.client_environment(), directory=tmp_path)
    assert printed.splitlines() == [
        "5 rows with the columns date, product, sales, region",
        "Widget A: 485 sold",
        "Widget B: 380 sold",
        "best day: 2024-01-02",
    ]


def test_chart_is_saved_as_a_png(server: RunningServer, tmp_path: Path) -> None:
    run(EXAMPLES / "sales_chart.py", "charts/sales.png", variables=server.client_environment(), directory=tmp_path)
    assert (tmp_path / "charts" / "sales.png").read_bytes().startswith(b"\x89PNG")


def test_examples_stop_their_sessions(server: RunningServer, tmp_path: Path) -> None:
    run(EXAMPLES / "sales_chart.py", variables=server.client_environment(), directory=tmp_path)
    page = server.data.list_code_interpreter_sessions(codeInterpreterIdentifier="aws.codeinterpreter.v1", status="READY")
    assert page["items"] == []


@pytest.mark.slow
def test_demo_runs_everything_with_a_server_of_its_own(tmp_path: Path) -> None:
    printed = run(EXAMPLES / OWN_SERVER, variables=environment(), directory=tmp_path)
    assert "the server has stopped" in printed
    assert (tmp_path / "demo-output" / "quarterly_sales.png").read_bytes().startswith(b"\x89PNG")
