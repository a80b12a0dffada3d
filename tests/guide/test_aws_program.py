"""The guide's lines for the `aws` program, and its boto3 block of long-running commands, with what `cellblock env` exports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cellblock.runtime.layout import Runtime
from running_server import BUILT_IN, CELLBLOCK, Json, RunningServer, environment

ROLE = "arn:aws:iam::123456789012:role/CodeInterpreterRole"
TASK = f"""
import boto3
client = boto3.client("bedrock-agentcore", region_name="us-east-1")
place = {{"codeInterpreterIdentifier": "{BUILT_IN}"}}
place["sessionId"] = client.start_code_interpreter_session(**place, name="guide", description="of the guide")["sessionId"]
task = client.invoke_code_interpreter(**place, name="startCommandExecution", arguments={{"command": "sleep 100"}})["taskId"]
answer = client.invoke_code_interpreter(**place, name="stopTask", arguments={{"taskId": task}})
print([event["result"]["isError"] for event in answer["stream"]])
client.stop_code_interpreter_session(**place)
"""


@pytest.fixture(scope="module")
def exports(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a shell has after `eval "$(cellblock env)"`."""
    settings = environment(cache_dir=tmp_path_factory.mktemp("cache"))
    script = 'eval "$("$1" env --data-dir "$2")" && env -0'
    ended = subprocess.run(["bash", "-c", script, "bash", CELLBLOCK, server.data_dir], env=settings, capture_output=True, check=True)
    return dict(item.split("=", 1) for item in ended.stdout.decode().split("\0") if item)


@pytest.fixture
def aws(exports: dict[str, str], built_runtime: Runtime, tmp_path: Path) -> Path:
    """A file that runs `aws` as a user's shell would; nothing of this machine's AWS settings is seen."""
    lines = [f"export {name}='{value}'" for name, value in exports.items() if name.startswith("AWS_")]
    script = tmp_path / "aws"
    program = f"'{built_runtime.path}/bin/python' -m awscli"
    script.write_text("\n".join(["#!/bin/sh", *lines, f"export AWS_PAGER= HOME='{tmp_path}'", f'exec {program} "$@"', ""]))
    script.chmod(0o700)
    return script


def run(aws: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command; its region is the guide's."""
    command = [str(aws), arguments[0], arguments[1], "--region", "us-east-1", *arguments[2:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def answer(aws: Path, *arguments: str) -> Json:
    """What a command prints that succeeds."""
    ended = run(aws, *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    printed: Json = json.loads(ended.stdout)
    return printed


def test_interpreters_are_created_listed_shown_and_deleted_by_the_data_plane_s_name(aws: Path) -> None:
    network = json.dumps({"networkMode": "PUBLIC"})
    named = ("--name", "data-analysis-interpreter", "--description", "Code Interpreter for data analysis tasks")
    created = answer(
        aws, "bedrock-agentcore", "create-code-interpreter", *named, "--network-configuration", network, "--execution-role-arn", ROLE
    )
    assert re.fullmatch(r"data-analysis-interpreter-\w{10}", created["codeInterpreterId"])
    one = ("--code-interpreter-id", created["codeInterpreterId"])
    shown = answer(aws, "bedrock-agentcore", "get-code-interpreter", *one)
    assert (shown["executionRoleArn"], shown["networkConfiguration"]) == (ROLE, {"networkMode": "PUBLIC"})
    listed = answer(aws, "bedrock-agentcore", "list-code-interpreters", "--max-results", "10")
    assert "data-analysis-interpreter" in [item["name"] for item in listed["codeInterpreterSummaries"]]
    assert answer(aws, "bedrock-agentcore", "delete-code-interpreter", *one)["status"] == "DELETING"


def test_a_made_up_page_token_is_a_validation_error(aws: Path) -> None:
    ended = run(aws, "bedrock-agentcore", "list-code-interpreters", "--max-results", "10", "--next-token", "eyJuZXh0VG9rZW4iOi...")
    assert ended.returncode != 0
    assert "ValidationException" in ended.stderr


def test_a_session_is_started_with_a_description_and_stopped(aws: Path) -> None:
    named = ("--name", "analysis-session-001", "--description", "Data analysis session", "--session-timeout-seconds", "3600")
    started = answer(aws, "bedrock-agentcore", "start-code-interpreter-session", "--code-interpreter-id", BUILT_IN, *named)
    one = ("--code-interpreter-id", BUILT_IN, "--session-id", started["sessionId"])
    assert answer(aws, "bedrock-agentcore", "stop-code-interpreter-session", *one)["sessionId"] == started["sessionId"]


def test_the_control_plane_s_own_name_works_too(aws: Path) -> None:
    shown = answer(aws, "bedrock-agentcore-control", "get-code-interpreter", "--code-interpreter-id", BUILT_IN)
    assert shown["status"] == "READY"


def test_errors_keep_their_codes(aws: Path) -> None:
    ended = run(aws, "bedrock-agentcore", "get-code-interpreter", "--code-interpreter-id", "nothing-0123456789")
    assert ended.returncode != 0
    assert "(ResourceNotFoundException)" in ended.stderr


def test_boto3_finds_the_task_id_of_a_long_running_command(exports: dict[str, str]) -> None:
    ended = subprocess.run([sys.executable, "-c", TASK], env=exports, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("[False]\n", "")
