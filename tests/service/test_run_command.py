"""`cellblock run` over a node in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cellblock.model.calls import Call, Image, RunCode
from cellblock.settings.table import Settings
from cellblock.terminal.run_command import Job, JobFailed, run_job
from service.fake_node import FakeCell, FakeNode, done


async def run(tmp_path: Path, node: FakeNode, code: str = "code", **job: Any) -> int:
    described = {"language": "python", "uploads": (), "patterns": (), "directory": tmp_path} | job
    status = await run_job(Job(code=code, **described), node, Settings(data_dir=tmp_path, cache_dir=tmp_path))
    assert node.is_closed
    assert node.open_cells == set()
    return status


def written(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def ends_with(node: FakeNode, reply: Any) -> None:
    async def answer(cell: FakeCell, request: Call[Any]) -> Any:
        cell.files["out/table.csv"] = b"a,b"
        return reply

    node.scripts["code"] = answer


async def test_exit_status_and_both_streams_are_the_code_s(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    node = FakeNode()
    ends_with(node, done("out\n", stderr="err\n", exit_code=3))
    assert await run(tmp_path, node) == 3
    assert capfd.readouterr() == ("out\n", "err\n")


async def test_code_runs_in_its_language_on_the_default_runtime(tmp_path: Path) -> None:
    node = FakeNode()
    ends_with(node, done())
    await run(tmp_path, node, language="typescript")
    assert [(call.language, call.runtime) for call in node.cells[0].calls if isinstance(call, RunCode)] == [("typescript", "nodejs")]


async def test_time_out_ends_with_124(tmp_path: Path) -> None:
    node = FakeNode()
    ends_with(node, done("out\n", outcome="timeout", exit_code=130))
    assert await run(tmp_path, node) == 124


async def test_images_are_written_beside(tmp_path: Path) -> None:
    node = FakeNode()
    ends_with(node, done(images=(Image("image/png", b"one"), Image("image/jpeg", b"two"))))
    await run(tmp_path, node)
    assert written(tmp_path) == {"figure-1.png": b"one", "figure-2.jpg": b"two"}


async def test_files_go_in_and_matching_ones_come_out(tmp_path: Path) -> None:
    node = FakeNode()
    ends_with(node, done())
    (tmp_path / "data.csv").write_text("1,2")
    target = tmp_path / "here"
    target.mkdir()
    await run(tmp_path, node, uploads=(tmp_path / "data.csv",), patterns=("*.csv",), directory=target)
    assert node.cells[0].files["data.csv"] == b"1,2"
    assert written(target) == {"data.csv": b"1,2", "out/table.csv": b"a,b"}


async def test_pattern_without_a_match_fails(tmp_path: Path) -> None:
    node = FakeNode()
    with pytest.raises(JobFailed, match=r"no file matches \*\.png"):
        await run(tmp_path, node, patterns=("*.png",))


async def test_file_named_outside_the_directory_is_not_written(tmp_path: Path) -> None:
    node = FakeNode()

    async def answer(cell: FakeCell, request: Call[Any]) -> Any:
        cell.files["../outside.txt"] = b"x"
        return done()

    node.scripts["code"] = answer
    target = tmp_path / "here"
    target.mkdir()
    with pytest.raises(JobFailed, match="outside"):
        await run(tmp_path, node, patterns=("*.txt",), directory=target)
    assert not (tmp_path / "outside.txt").exists()
