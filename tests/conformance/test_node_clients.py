"""The published clients for JavaScript against the server: @aws-sdk/client-bedrock-agentcore and bedrock-agentcore."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from cellblock.runtime import builds
from running_server import Json, RunningServer

PROGRAMS = Path(__file__).parent / "node"
LOCKED = ("package.json", "package-lock.json")
CACHE = Path(__file__).parents[2] / "build" / "node-clients"
INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error")
INSTALL_SECONDS = 300


@pytest.fixture(scope="module")
def node(built_runtime: builds.Runtime) -> Path:
    """The Node that a runtime brings: the same on every machine."""
    return built_runtime.path / "bin" / "node"


@pytest.fixture(scope="module")
def packages(node: Path) -> Path:
    """The locked packages in build/, installed once, whole or not at all."""
    key = hashlib.sha256(b"".join((PROGRAMS / name).read_bytes() for name in LOCKED)).hexdigest()[:16]
    place, making = CACHE / key, CACHE / f"{key}.part"
    if not place.is_dir():
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        for name in LOCKED:
            shutil.copy(PROGRAMS / name, making)
        subprocess.run([node, node.with_name("npm"), *INSTALL], cwd=making, check=True, timeout=INSTALL_SECONDS)
        making.rename(place)
    return place


@pytest.fixture(scope="module")
def said(server: RunningServer, node: Path, packages: Path, request: pytest.FixtureRequest) -> Json:
    """What a program that stands beside the packages prints."""
    program = shutil.copy(PROGRAMS / request.param, packages)
    ended = subprocess.run([node, program], env=server.client_environment(), capture_output=True, text=True, timeout=100)
    assert ended.returncode == 0, ended.stderr
    printed: Json = json.loads(ended.stdout)
    return printed


aws_sdk = pytest.mark.parametrize("said", ["aws_sdk.mjs"], indirect=True, scope="module")
agentcore_sdk = pytest.mark.parametrize("said", ["agentcore_sdk.mjs"], indirect=True, scope="module")


def stdout(result: Json) -> str:
    printed: str = result["structuredContent"]["stdout"]
    return printed


@aws_sdk
def test_aws_sdk_runs_code_in_three_languages(said: Json) -> None:
    assert [stdout(said[name]) for name in ("python", "kept", "javascript", "typescript")] == ["42", "42", "2,4", "5"]


@aws_sdk
def test_aws_sdk_gets_the_failure_of_code_as_a_result(said: Json) -> None:
    failing = said["failing"]
    assert (failing["isError"], failing["structuredContent"]["exitCode"]) == (True, 1)
    assert "ZeroDivisionError" in failing["structuredContent"]["stderr"]


@aws_sdk
def test_aws_sdk_decodes_pictures(said: Json) -> None:
    assert said["chart"] == [{"mimeType": "image/png", "signature": [137, 80, 78, 71]}]


@aws_sdk
def test_aws_sdk_runs_commands(said: Json) -> None:
    structured = said["command"]["structuredContent"]
    assert (structured["stdout"], structured["stderr"], structured["exitCode"]) == ("out", "err", 3)


@aws_sdk
def test_aws_sdk_writes_lists_reads_and_removes_exact_files(said: Json) -> None:
    assert said["written"]["content"][0]["text"] == "Successfully wrote all 2 files"
    assert [(block["name"], block["description"]) for block in said["listed"]["content"]] == [("a", "Directory"), ("raw.bin", "File")]
    assert (said["text"], said["bytesAreExact"]) == ("häßlich\n", True)
    assert said["removed"]["isError"] is False


@aws_sdk
def test_aws_sdk_starts_asks_about_and_stops_a_task(said: Json) -> None:
    assert [said[name]["structuredContent"]["taskStatus"] for name in ("started", "task")] == ["submitted", "working"]
    assert said["stopped"]["isError"] is False


@aws_sdk
def test_aws_sdk_understands_errors(said: Json) -> None:
    assert said["refused"] == {"name": "ValidationException", "status": 400, "fields": ["arguments.code"]}
    assert said["after"]["name"] == "ValidationException"


@aws_sdk
def test_aws_sdk_starts_gets_lists_and_stops_sessions(said: Json) -> None:
    assert (said["session"], said["isListed"], said["ended"]) == ("READY", True, True)


@agentcore_sdk
def test_agentcore_sdk_runs_code_and_commands(said: Json) -> None:
    assert (said["python"], said["javascript"], said["command"]) == ("42", "1024", "/workspace")


@agentcore_sdk
def test_agentcore_sdk_uses_files(said: Json) -> None:
    assert said["written"] == "Successfully wrote all 1 files"
    assert said["read"] == "a,b\n1,2\n"
    assert said["listed"] == "in.csv - File - text/csv (file:///data/in.csv)"
    assert said["removed"] == "Successfully removed all 1 files"


@agentcore_sdk
def test_agentcore_sdk_manages_its_session(said: Json) -> None:
    assert said["session"] == {"status": "READY", "name": "typescript", "timeout": 600}
    assert (said["isListed"], said["after"]) == (True, "TERMINATED")
    assert said["startedByItself"] == "a session of its own"
