"""The audit log says who did what, when, from where and with what result; nothing that is logged holds code, output or secrets."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cellblock.observing.rotating_file import KEPT_FILES, RotatingFile, oldest_first
from cellblock.runtime.builds import Runtime
from running_server import serving as serving_process
from service.served import BUILT_IN, off_loop, refused, serving

MARKERS = ("code-marker", "output-marker", "file-marker", "command-marker", "path-marker", "description-marker")


def audit(data_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (data_dir / "logs" / "audit.jsonl").read_text().splitlines()]


async def test_each_operation_is_told_with_who_when_where_and_result(data_dir: Path) -> None:
    async with serving(data_dir) as served:
        made = await off_loop(served.control().create_code_interpreter, name="made", networkConfiguration={"networkMode": "SANDBOX"})
        session = await served.start()
        await session.run("print(1)")
        await session.stop()
        await refused(served.control().delete_code_interpreter, codeInterpreterId="missing-0123456789")
    lines = audit(data_dir)
    assert [line["operation"] for line in lines] == [
        "CreateCodeInterpreter",
        "StartCodeInterpreterSession",
        "SessionEnded",
        "StopCodeInterpreterSession",
        "DeleteCodeInterpreter",
    ]
    for line in lines:
        assert datetime.fromisoformat(line["time"]).tzinfo is not None
        assert line["account"] == served.key.account
        if line["operation"] != "SessionEnded":
            assert (line["key"], line["key_id"], line["from"]) == (served.key.name, served.key.id, "127.0.0.1")
            assert line["request_id"]
    assert made["codeInterpreterId"] in lines[0]["resource"]
    assert lines[1]["session"] == lines[2]["session"] == lines[3]["session"] == session.id
    assert (lines[2]["result"], lines[3]["result"], lines[4]["result"]) == ("stopped", "done", "ResourceNotFoundException")
    assert lines[4]["status"] == 404


async def test_calls_of_tools_are_told_when_all_is_asked_for(data_dir: Path) -> None:
    async with serving(data_dir, audit="all") as served:
        session = await served.start()
        await session.run("print(1)")
    (call,) = [line for line in audit(data_dir) if line["operation"] == "InvokeCodeInterpreter"]
    assert (call["tool"], call["session"], call["result"]) == ("executeCode", session.id, "done")


async def test_who_proves_nothing_cannot_fill_the_audit_log(data_dir: Path) -> None:
    async with serving(data_dir) as served:
        await refused(served.data(secret="wrong").start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN)
        await refused(served.data(key_id="AKIDOTHER").start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN)
    assert audit(data_dir) == []


async def test_audit_log_that_is_switched_off_is_not_there(data_dir: Path) -> None:
    async with serving(data_dir, audit="off") as served:
        await served.start()
    assert not (data_dir / "logs").exists()


def test_full_file_is_set_aside_and_the_oldest_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "lines"
    file = RotatingFile(path, limit_bytes=20)
    for number in range(40):
        file.append(b"%08d\n" % number)
    file.close()
    kept = b"".join(found.read_bytes() for found in oldest_first(path)).split()
    assert len(oldest_first(path)) == KEPT_FILES + 1
    assert kept == [b"%08d" % number for number in range(30, 40)]
    assert {found.stat().st_mode & 0o777 for found in oldest_first(path)} == {0o600}


def test_file_goes_on_where_the_server_before_stopped(tmp_path: Path) -> None:
    for line in (b"one\n", b"two\n"):
        file = RotatingFile(tmp_path / "lines", limit_bytes=100)
        file.append(line)
        file.close()
    assert (tmp_path / "lines").read_bytes() == b"one\ntwo\n"


def test_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lines").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        RotatingFile(tmp_path / "lines", limit_bytes=100)


def use_everything(server: Any) -> None:
    """Real requests of every kind with a marker in each place that a user fills, good and bad ones."""
    with server.session() as session:
        session.run("print('code-marker', 'output-' + 'marker')")
        session.run("raise ValueError('code-marker')")
        session.run("code-marker is no Python")
        session.command("echo command-marker; exit 3")
        session.write(path_marker="file-marker")
        session.invoke("readFiles", paths=["path-marker"])
        session.invoke("removeFiles", paths=["path-marker"])
        task = session.invoke("startCommandExecution", command="echo command-marker")["structuredContent"]["taskId"]
        session.invoke("getTask", taskId=task)
        session.refused("executeCode", code="code-marker")
        session.refused("executeCode", code="code-marker", language="python" * 40)
    server.create("made", description="description-marker")


def test_no_log_holds_code_output_files_or_secrets(data_dir: Path, built_runtime: Runtime) -> None:
    with serving_process(data_dir, log_level="debug", audit="all") as server:
        use_everything(server)
        secret = server.secret
    logs = {path: path.read_text() for path in (data_dir.with_suffix(".log"), *(data_dir / "logs").iterdir())}
    assert {path.name for path in logs} == {"data.log", "server.jsonl", "audit.jsonl"}
    for path, text in logs.items():
        assert "InvokeCodeInterpreter" in text, path
        assert [marker for marker in (*MARKERS, secret) if marker in text] == [], path
        for line in text.splitlines():
            assert json.loads(line), path


def test_standard_error_and_file_have_the_same_lines(data_dir: Path, built_runtime: Runtime) -> None:
    with serving_process(data_dir) as server:
        server.create("made")
    assert data_dir.with_suffix(".log").read_text() == (data_dir / "logs" / "server.jsonl").read_text()
    assert subprocess.run(["stat", "-c", "%a", data_dir / "logs"], capture_output=True, text=True).stdout == "700\n"
