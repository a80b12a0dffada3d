"""Which interpreter of the host a runtime builds on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cellblock.errors import HostNotReady
from cellblock.runtime.python import choose


def interpreter(path: Path, *, says: object, exit_status: int = 0) -> str:
    """A program that answers as an interpreter does."""
    path.write_text(f"#!/bin/sh\necho '{json.dumps(says)}'\nexit {exit_status}\n")
    path.chmod(0o755)
    return str(path)


def test_named_interpreter_is_taken_with_its_version_and_prefix() -> None:
    base = choose(sys.executable, for_other_users=False)
    assert base.version == ".".join(map(str, sys.version_info[:3]))
    assert base.prefix == Path(sys.base_prefix).resolve()


def test_interpreter_of_a_virtual_environment_means_the_one_below_it() -> None:
    assert choose(sys.executable, for_other_users=False).executable.is_relative_to(Path(sys.base_prefix).resolve())


def test_named_interpreter_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(HostNotReady, match="/nowhere/python3 is not there"):
        choose("/nowhere/python3", for_other_users=False)


def test_interpreter_without_a_complete_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostNotReady, match="no complete standard library"):
        choose(interpreter(tmp_path / "python3", says=[], exit_status=1), for_other_users=False)


def test_program_that_is_no_interpreter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostNotReady, match="does not work as a Python interpreter"):
        choose(interpreter(tmp_path / "python3", says="hello"), for_other_users=False)


@pytest.mark.parametrize("version", ["3.10.14", "2.7.18"])
def test_old_interpreter_is_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(HostNotReady, match=f"Python {version}, older than 3.11"):
        choose(interpreter(tmp_path / "python3", says=["/usr/bin/python3", "/usr", version]), for_other_users=False)


def test_interpreter_in_a_closed_directory_is_refused_when_cells_are_other_users(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    library = closed / "lib" / "python3.11"
    library.mkdir(parents=True)
    (library / "os.py").touch()
    (closed / "python3").touch()
    closed.chmod(0o700)
    command = interpreter(tmp_path / "python3", says=[str(closed / "python3"), str(closed), "3.11.9"])
    assert choose(command, for_other_users=False).version == "3.11.9"
    with pytest.raises(HostNotReady, match="is closed to them"):
        choose(command, for_other_users=True)
