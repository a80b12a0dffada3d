"""Each program in examples/ runs against a server, with nothing but the variables of `cellblock env`."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from running_server import RunningServer, environment

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
OWN_SERVER = "demo.py"
SHORT = {"human_eval_answers.py": ("--problems", "12"), "rollouts.py": ("--sessions", "12")}


def run(path: Path, *arguments: str, variables: dict[str, str], directory: Path) -> str:
    """What a program prints."""
    command = [sys.executable, str(path), *arguments]
    ended = subprocess.run(command, cwd=directory, env=variables, capture_output=True, text=True, timeout=100)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def printed(server: RunningServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[str, Path]:
    """What an example prints in its short form, and the directory with its files."""
    directory = tmp_path_factory.mktemp("example")
    arguments = SHORT.get(request.param, ())
    return run(EXAMPLES / request.param, *arguments, variables=server.client_environment(), directory=directory), directory


def example(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("printed", [name], indirect=True)


def test_every_example_has_a_test_here() -> None:
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert {name for name in names if f'"{name}"' not in Path(__file__).read_text()} == set()


@example("order_report.py")
def test_order_report_counts_what_python_wrote(printed: tuple[str, Path]) -> None:
    assert printed[0].splitlines() == ["Open: 9.90", "Paid: 16.50", "'3 orders are still there, the first is paid'"]


@example("data_analysis.py")
def test_data_analysis_finds_the_trend_and_saves_a_chart(printed: tuple[str, Path]) -> None:
    text, directory = printed
    assert text.splitlines()[0] == "336 days, 488,880 visits"
    assert "the average day grows by" in text
    assert (directory / "visits.png").read_bytes().startswith(b"\x89PNG")


@example("csv_report.py")
def test_csv_becomes_a_word_document(printed: tuple[str, Path]) -> None:
    text, directory = printed
    assert text.startswith("revenue 3,258.00, best region")
    with zipfile.ZipFile(directory / "report.docx") as document:
        assert "word/document.xml" in document.namelist()
        assert any(name.startswith("word/media/") for name in document.namelist())


@example("mcp_agent.py")
def test_agent_answers_by_the_tools_of_the_mcp_server(printed: tuple[str, Path]) -> None:
    assert "execute_code -> [97, 1009, 7919] 9025" in printed[0]


@example("notebook.py")
def test_notebook_is_kept_with_its_outputs(printed: tuple[str, Path]) -> None:
    cells = json.loads((printed[1] / "session.ipynb").read_text())["cells"]
    assert [cell["execution_count"] for cell in cells] == [1, 2, 3, 4, 5, 6]
    assert "pi is about 3.1" in cells[1]["outputs"][0]["text"]
    assert "image/png" in cells[4]["outputs"][-1]["data"]


@example("human_eval_answers.py")
def test_answers_to_human_eval_are_evaluated(printed: tuple[str, Path]) -> None:
    assert "12 of 12 answers pass" in printed[0]
    assert "answers a second" in printed[0]


def test_wrong_answer_to_human_eval_is_found(server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text(json.dumps({"task_id": "HumanEval/2", "completion": "    return 0.0\n"}))
    arguments = ("--problems", "3", "--answers", "answers.jsonl")
    printed = run(EXAMPLES / "human_eval_answers.py", *arguments, variables=server.client_environment(), directory=tmp_path)
    assert "HumanEval/2 failed: AssertionError" in printed
    assert "0 of 1 answers pass" in printed


@example("rollouts.py")
def test_rollouts_earn_rewards(printed: tuple[str, Path]) -> None:
    assert "12 sessions at once" in printed[0]
    assert "step 4: mean reward 0." in printed[0]


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
