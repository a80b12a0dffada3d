"""A build ends with the whole runtime or with nothing. The interpreter here only says that it is one, so that builds fail at once."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from cellblock.errors import HostNotReady
from cellblock.runtime import builds
from cellblock.runtime.layout import MANIFEST, BasePython, key_of, write_manifest
from cellblock.settings.table import Settings

BASE = BasePython(executable=Path("/usr/bin/python3.11"), prefix=Path("/usr"), version="3.11.2")


@pytest.fixture
def host(tmp_path: Path) -> Settings:
    """Settings of a host whose interpreter answers the first question and nothing else."""
    program = tmp_path / "bin" / "python3"
    library = tmp_path / "lib" / "python3.11"
    library.mkdir(parents=True)
    (library / "os.py").touch()
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n[ \"$1\" = -I ] && echo '{json.dumps([str(program), str(tmp_path), '3.11.9'])}'\n")
    program.chmod(0o755)
    for directory in (tmp_path, *tmp_path.parents[:-2]):  # all but / and the machine's /tmp
        directory.chmod(0o755)  # pytest closes its directories to others, and root's cells are others
    return Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", runtime_python=str(program))


def entries(settings: Settings) -> list[str]:
    return sorted(path.name for path in (settings.cache_dir / "runtimes").iterdir())


def ignore(progress: builds.Progress) -> None:
    """No display."""


def test_failed_build_names_the_step_and_shows_what_the_tool_said(host: Settings) -> None:
    with pytest.raises(HostNotReady, match="the step that failed: make the environment\nuv ended with status"):
        builds.build(host, ignore)


def test_failed_build_leaves_nothing_but_the_lock(host: Settings) -> None:
    with pytest.raises(HostNotReady):
        builds.build(host, ignore)
    assert entries(host) == [".lock"]
    assert builds.find(host) is None


def test_interrupted_build_leaves_nothing_but_the_lock(host: Settings) -> None:
    def interrupt(progress: builds.Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        builds.build(host, interrupt)
    assert entries(host) == [".lock"]


def test_what_a_killed_build_left_is_removed_by_the_next_one(host: Settings) -> None:
    (host.cache_dir / "runtimes" / ".building-dead" / "bin").mkdir(parents=True)
    with pytest.raises(HostNotReady):
        builds.build(host, ignore)
    assert entries(host) == [".lock"]


def test_build_waits_for_another_and_says_so(host: Settings) -> None:
    place = host.cache_dir / "runtimes"
    place.mkdir(parents=True)
    seen: list[str] = []
    other = os.open(place / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(other, fcntl.LOCK_EX)

    def release(progress: builds.Progress) -> None:
        seen.append(progress.title)
        fcntl.flock(other, fcntl.LOCK_UN)

    with pytest.raises(HostNotReady):
        builds.build(host, release)
    os.close(other)
    assert seen == ["wait for the build that another process runs", "make the environment"]


def test_finished_runtime_is_found_and_not_built_again(host: Settings) -> None:
    wanted = builds.wanted(host)
    wanted.path.mkdir(parents=True)
    write_manifest(wanted.path, wanted.key, wanted.base)
    assert builds.find(host) == wanted
    assert builds.build(host, pytest.fail) == wanted


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"key": "another"}'])
def test_directory_without_its_manifest_is_no_runtime(host: Settings, content: str) -> None:
    wanted = builds.wanted(host)
    wanted.path.mkdir(parents=True)
    (wanted.path / MANIFEST).write_text(content)
    assert builds.find(host) is None


def test_cache_directory_that_cannot_be_made_is_named(host: Settings) -> None:
    host.cache_dir.write_text("a file")
    with pytest.raises(HostNotReady, match="CELLBLOCK_CACHE_DIR names another place"):
        builds.build(host, ignore)


def test_same_inputs_have_the_same_key() -> None:
    assert key_of(BASE, owner=1) == key_of(BASE, owner=1)


def test_another_interpreter_or_owner_has_another_key() -> None:
    newer = BasePython(executable=BASE.executable, prefix=BASE.prefix, version="3.11.3")
    assert len({key_of(BASE, owner=1), key_of(BASE, owner=2), key_of(BASE, owner=None), key_of(newer, owner=1)}) == 4
