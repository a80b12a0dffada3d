"""The `cellblock` program as a person starts it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest

from cellblock.runtime.builds import Runtime

CELLBLOCK = Path(sys.executable).parent / "cellblock"
OLDER_KERNEL = """
import errno, os, sys
import pyseccomp
rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
rules.add_rule(pyseccomp.ERRNO(errno.EINVAL), "mremap", pyseccomp.Arg(3, pyseccomp.EQ, 7))
rules.load()
os.execv(sys.argv[1], sys.argv[1:])
"""


def cellblock(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([CELLBLOCK, *arguments], capture_output=True, text=True, timeout=60, env=dict(os.environ) | environment)


@contextmanager
def server(data_dir: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process and its first line."""
    command = [CELLBLOCK, "serve", "--port", "0", "--data-dir", data_dir, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.terminate()
            process.wait(30)


def exported(data_dir: Path) -> dict[str, str]:
    """The variables that `cellblock env` sets in a shell."""
    shell = f'eval "$({CELLBLOCK} env --data-dir {data_dir})" && {sys.executable} -c "import json, os; print(json.dumps(dict(os.environ)))"'
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_server_says_that_it_is_ready_and_ends_on_a_signal(data_dir: Path, built_runtime: Runtime, number: signal.Signals) -> None:
    with server(data_dir) as (process, line):
        variables = exported(data_dir)
        assert line == f"cellblock is ready on {variables['AWS_ENDPOINT_URL_BEDROCK_AGENTCORE']}\n"
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""
    assert sorted(path.name for path in data_dir.iterdir()) == ["cellblock.db", "credentials.json", "logs", "secrets.key"]


def test_stock_client_runs_code_in_a_real_cell(data_dir: Path, built_runtime: Runtime) -> None:
    with server(data_dir):
        variables = exported(data_dir)
        client = boto3.client(
            "bedrock-agentcore",
            endpoint_url=variables["AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"],
            region_name=variables["AWS_REGION"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        )
        named = {"codeInterpreterIdentifier": "aws.codeinterpreter.v1"}
        named["sessionId"] = client.start_code_interpreter_session(**named)["sessionId"]
        answer = client.invoke_code_interpreter(**named, name="executeCode", arguments={"language": "python", "code": "6 * 7"})
        (event,) = list(answer["stream"])
        assert event["result"]["structuredContent"]["stdout"] == "42"


def test_port_in_use_is_told_in_one_line(data_dir: Path, tmp_path: Path, built_runtime: Runtime) -> None:
    with server(data_dir) as (_, line):
        done = cellblock("serve", "--port", line.strip().rpartition(":")[2], "--data-dir", tmp_path / "other")
    assert done.returncode == 1
    assert re.fullmatch(
        r"cellblock: cannot listen on http://127\.0\.0\.1:\d+: Address already in use; --port takes another, .*", done.stderr.strip()
    )


def test_env_without_a_server_says_how_to_start_one(data_dir: Path) -> None:
    done = cellblock("env", "--data-dir", data_dir)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"cellblock serve --data-dir {data_dir}" in done.stderr


def test_unknown_setting_is_named(data_dir: Path) -> None:
    done = cellblock("env", "--data-dir", data_dir, CELLBLOCK_MEMORY_GB="4")
    assert done.returncode == 1
    assert done.stderr.startswith("cellblock: CELLBLOCK_MEMORY_GB is not a setting")


def test_list_of_commands_imports_none_of_them() -> None:
    code = "import sys; from cellblock.cli import commands; commands(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert "click" in loaded
    assert not {"sqlalchemy", "uvicorn", "botocore", "rich", "prompt_toolkit", "opentelemetry", "prometheus_client", "mcp"} & set(loaded)


def test_serve_imports_nothing_that_is_switched_on_by_a_setting() -> None:
    code = "import sys, cellblock.commands.serve; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"prompt_toolkit", "opentelemetry", "prometheus_client", "mcp", "psycopg"} & set(done.stdout.split())


def test_run_gives_the_code_s_output_and_status(built_runtime: Runtime, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint('out')\nprint('err', file=sys.stderr)\nraise SystemExit(7)\n")
    done = cellblock("run", script)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert "err" in done.stderr


@pytest.mark.parametrize(("name", "greeting"), [("script.js", "'out'"), ("script.mjs", "'out'"), ("script.ts", "'out' as string")])
def test_run_knows_the_language_by_the_ending(built_runtime: Runtime, tmp_path: Path, name: str, greeting: str) -> None:
    script = tmp_path / name
    script.write_text(f"console.log({greeting});\nprocess.exitCode = 7;\n")
    done = cellblock("run", script)
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "")


def test_run_wants_a_script_or_code() -> None:
    assert "one of them" in cellblock("run").stderr


def test_doctor_names_each_thing_with_its_cost_and_mend(built_runtime: Runtime) -> None:
    done = cellblock("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)}
    named = {"namespaces", "AppArmor", "overlay", "seccomp", "Landlock", "control groups", "open files", "disk", "fonts", "runtime"}
    named |= {"memory at rest"}
    assert named <= findings.keys()
    assert all(finding["cost"] and finding["mend"] and finding["found"] for finding in findings.values())
    assert done.returncode == any(finding["is_needed"] and not finding["ok"] for finding in findings.values())


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="needs an x86_64 processor: memory is given back on no other")
def test_doctor_says_when_the_kernel_gives_no_memory_back(tmp_path: Path) -> None:
    """As before Linux 5.13, where mremap(2) knows no MREMAP_DONTUNMAP for a file's pages."""
    arguments = ["doctor", "--json"]
    environment = os.environ | {"CELLBLOCK_CACHE_DIR": str(tmp_path)}
    found = {}
    for kernel, command in {"this": [CELLBLOCK], "older": [sys.executable, "-c", OLDER_KERNEL, CELLBLOCK]}.items():
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, env=environment)
        (found[kernel],) = (finding for finding in json.loads(done.stdout) if finding["name"] == "memory at rest")
    assert found["this"]["ok"]
    assert (found["older"]["ok"], found["older"]["is_needed"]) == (False, False)
    assert found["older"]["found"] == "the kernel exchanges no pages: Invalid argument"
    assert "Linux 5.13" in found["older"]["mend"]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="needs an x86_64 processor: memory is given back on no other")
def test_doctor_says_when_the_kernel_promises_no_more_memory_than_it_has(tmp_path: Path) -> None:
    """Then a page could be gone before the one in its place is refused."""
    (tmp_path / "strict").write_text("2\n")
    shown = f"mount --bind {tmp_path}/strict /proc/sys/vm/overcommit_memory && exec {CELLBLOCK} doctor --json"
    environment = os.environ | {"CELLBLOCK_CACHE_DIR": str(tmp_path)}
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", shown]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    (found,) = (finding for finding in json.loads(done.stdout) if finding["name"] == "memory at rest")
    assert (found["ok"], found["is_needed"]) == (False, False)
    assert "/proc/sys/vm/overcommit_memory is 2" in found["found"]


def test_doctor_does_not_miss_what_is_switched_off(tmp_path: Path) -> None:
    done = cellblock("doctor", "--json", CELLBLOCK_CACHE_DIR=str(tmp_path), CELLBLOCK_REST_SECONDS="0")
    (found,) = (finding for finding in json.loads(done.stdout) if finding["name"] == "memory at rest")
    assert (found["ok"], "CELLBLOCK_REST_SECONDS" in found["found"]) == (True, True)


def test_doctor_without_a_runtime_says_what_builds_it(tmp_path: Path) -> None:
    done = cellblock("doctor", CELLBLOCK_CACHE_DIR=str(tmp_path))
    assert "mend:  cellblock runtime build" in done.stdout


def test_doctor_prints_the_policy() -> None:
    policy = json.loads(cellblock("doctor", "--policy").stdout)
    assert "filter_system_calls" in policy["steps"]
    assert "ptrace" in policy["denied_calls"]


def test_version_is_printed() -> None:
    assert cellblock("--version").stdout.startswith("cellblock ")
