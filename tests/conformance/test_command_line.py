"""The commands that a person types: env, run, doctor, runtime."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from running_server import CELLBLOCK, RunningServer, environment


def cellblock(*arguments: object, cwd: Path | None = None, **settings: object) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    command = [str(CELLBLOCK), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment(**settings), capture_output=True, text=True, timeout=100)


def test_output_of_env_points_a_shell_s_clients_at_the_server(server: RunningServer) -> None:
    program = (
        "import boto3; control = boto3.client('bedrock-agentcore-control')\n"
        "print(control.get_code_interpreter(codeInterpreterId='aws.codeinterpreter.v1')['status'])"
    )
    script = 'eval "$("$1" env --data-dir "$2")" && exec "$3" -c "$4"'
    command = ["bash", "-c", script, "bash", str(CELLBLOCK), str(server.data_dir), sys.executable, program]
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("READY\n", "", 0)


def test_env_exports_exactly_what_clients_read(server: RunningServer) -> None:
    ended = cellblock("env", "--data-dir", server.data_dir)
    assert {line.split()[1].partition("=")[0] for line in ended.stdout.splitlines()} == {
        "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE",
        "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE_CONTROL",
        "BEDROCK_AGENTCORE_DP_ENDPOINT",
        "BEDROCK_AGENTCORE_CP_ENDPOINT",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_DATA_PATH",
    }


def test_env_without_a_server_says_how_to_start_one(tmp_path: Path) -> None:
    ended = cellblock("env", "--data-dir", tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "cellblock serve" in ended.stderr


def test_run_prints_what_the_code_prints(tmp_path: Path) -> None:
    ended = cellblock("run", "-c", "import sys; print('out'); print('err', file=sys.stderr)", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "out\n")
    assert "err" in ended.stderr


def test_run_takes_a_script_and_ends_with_its_status(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print(6 * 7)\nraise SystemExit(3)\n")
    ended = cellblock("run", "script.py", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (3, "42\n")


def test_run_of_failing_code_shows_the_traceback_and_ends_with_1(tmp_path: Path) -> None:
    ended = cellblock("run", "-c", "1/0", cwd=tmp_path)
    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr


def test_run_uploads_saves_and_writes_images_beside(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    code = (
        "import pandas as pd, matplotlib.pyplot as plt\nd = pd.read_csv('data.csv')\nd.T.to_csv('turned.csv')\n"
        "import os; os.mkdir('deep'); open('deep/more.csv', 'w').write('x'); open('left.txt', 'w').close()\nplt.plot(d.a); plt.show()"
    )
    ended = cellblock("run", "-c", code, "--file", "data.csv", "--save", "t*.csv", "--save", "more.csv", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert found == ["data.csv", "deep/more.csv", "figure-1.png", "turned.csv"]
    assert (tmp_path / "figure-1.png").read_bytes().startswith(b"\x89PNG")


def test_run_whose_pattern_matches_nothing_says_so(tmp_path: Path) -> None:
    ended = cellblock("run", "-c", "1", "--save", "*.xyz", cwd=tmp_path)
    assert ended.returncode == 1
    assert "*.xyz" in ended.stderr


def test_run_over_its_time_ends_with_124(tmp_path: Path) -> None:
    ended = cellblock("run", "-c", "import signal\nprint('before', flush=True)\nsignal.pause()", cwd=tmp_path, call_timeout_seconds=1)
    assert (ended.returncode, ended.stdout) == (124, "before\n")


@pytest.mark.parametrize("arguments", [(), ("script.py", "-c", "1"), ("missing.py",)])
def test_run_wants_a_script_or_code(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "script.py").touch()
    ended = cellblock("run", *arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


def test_doctor_ends_with_0_where_cells_run_and_names_what_it_looked_at() -> None:
    ended = cellblock("doctor")
    assert ended.returncode == 0, ended.stdout
    assert all(
        word in ended.stdout
        for word in ("namespaces", "overlay", "seccomp", "Landlock", "control groups", "open files", "disk", "fonts", "runtime")
    )


def test_doctor_answers_in_json() -> None:
    ended = cellblock("doctor", "--json")
    findings = json.loads(ended.stdout)
    assert all({"name", "ok", "found", "cost", "mend"} <= finding.keys() for finding in findings)
    assert (ended.returncode == 0) == all(finding["ok"] or not finding["is_needed"] for finding in findings)


def test_doctor_prints_the_policy_as_json() -> None:
    ended = cellblock("doctor", "--policy")
    policy = json.loads(ended.stdout)
    assert ended.returncode == 0
    assert ["/usr", "/usr"] in policy["binds"]
    assert "clone3" in policy["absent_calls"]


def test_runtime_show_lists_packages_with_versions() -> None:
    ended = cellblock("runtime", "show")
    assert ended.returncode == 0
    for name in ("pandas", "numpy", "lodash"):
        assert name in ended.stdout


def test_runtime_build_of_a_built_runtime_says_where_it_is() -> None:
    ended = cellblock("runtime", "build")
    assert ended.returncode == 0
    assert Path(ended.stdout.split()[-1]).is_dir()


def test_version_and_help() -> None:
    assert cellblock("--version").stdout.startswith("cellblock ")
    text = cellblock("--help").stdout
    assert all(command in text for command in ("serve", "env", "runtime", "run", "doctor"))
