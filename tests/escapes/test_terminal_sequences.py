"""Escape sequences that an operator's terminal obeys must not come from hostile code by way of a log or of a message of ours."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from running_server import CELLBLOCK, RunningServer, environment, file_of, serving, until

ESCAPE, BELL = "\x1b", "\x07"
TITLE = f"{ESCAPE}]0;owned{BELL}"
CONTROLS = {chr(number) for number in range(32)} - {"\n"} | {"\x7f", "\x9b"}
NAME = f"out-{TITLE}\ncellblock: wrote nothing"
CODE = f"""
for name in ({NAME!r}, ".bashrc"):
    with open(name, "w") as file:
        _ = file.write("data")
print("ready")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("sequences") / "data", pool_size=0) as running:
        yield running


def whole_log(server: RunningServer) -> str:
    """The log, when the last tool's line is there: a thread of the server writes it."""
    log = server.data_dir.with_suffix(".log").read_text()
    return log if "executeCommand" in log else ""


def test_code_gives_its_caller_the_exact_bytes(server: RunningServer) -> None:
    with server.session() as session:
        assert session.printed(f"print({TITLE!r})") == TITLE


def test_the_log_has_none_of_them(server: RunningServer) -> None:
    with server.session() as session:
        session.run(f"raise ValueError({TITLE!r})")
        session.invoke("readFiles", paths=[f"missing{TITLE}"])
        session.invoke("writeFiles", content=[file_of(f"dir/{TITLE}/", "x")])
        session.command(f"echo '{TITLE}' >&2; exit 3")
    log = until(lambda: whole_log(server))
    assert not CONTROLS & set(log)
    assert all(json.loads(line) for line in log.splitlines())


def test_names_of_saved_files_are_shown_as_text_and_hidden_ones_are_not_taken(tmp_path: Path) -> None:
    script = tmp_path / "code.py"
    script.write_text(CODE)
    saved = tmp_path / "saved"
    saved.mkdir()
    command = [CELLBLOCK, "run", str(script), "--save", "*"]
    done = subprocess.run(command, cwd=saved, capture_output=True, text=True, check=False, timeout=100, env=environment())
    assert (done.returncode, done.stdout) == (0, "ready\n")
    assert [path.name for path in saved.iterdir()] == [NAME], "a hidden file has to be asked for"
    assert done.stderr == f"cellblock: wrote {ascii(str(saved / NAME))[1:-1]}\n"
