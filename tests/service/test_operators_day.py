"""A day in the operator's life, as docs/operating.md tells it: every command of it runs, and does what the text says."""

from __future__ import annotations

import csv
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cellblock.runtime.builds import Runtime
from cellblock.settings import table
from running_server import CELLBLOCK, environment

ROOT = Path(__file__).parents[2]
STAND_IN = Path(__file__).with_name("systemctl.py")
INSTALLING = "python3 -m venv"


def commands() -> str:
    """The lines of the chapter, but those that install the program from the registry."""
    text = (ROOT / "docs" / "operating.md").read_text()
    chapter = text.partition("## A day in the operator's life\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", chapter, re.MULTILINE | re.DOTALL)
    assert blocks[0].startswith(INSTALLING)
    return "\n".join(blocks[1:])


def placed(text: str, place: Path) -> str:
    """The same below a directory of the test, with the runtime that is built, and a free port."""
    text = text.replace("/var/cache/cellblock", str(table.load().cache_dir))
    text = re.sub(r"(?<![\w.])/(etc|var/backups)\b", f"{place}/\\1", text)
    return text.replace("/opt/cellblock/bin/cellblock", str(CELLBLOCK))


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A place that looks like the machine of the chapter."""
    for name in ("etc/systemd/system", "bin", "work/deploy"):
        (tmp_path / name).mkdir(parents=True)
    unit = placed((ROOT / "deploy" / "cellblock.service").read_text(), tmp_path)
    (tmp_path / "work" / "deploy" / "cellblock.service").write_text(unit)
    stand_in = tmp_path / "bin" / "systemctl"
    stand_in.write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} "$@"\n')
    stand_in.chmod(0o755)
    return tmp_path


def _free_port() -> int:
    """The service takes the same one after its restart."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def variables(machine: Path) -> dict[str, str]:
    """The service and the commands agree on the file, as they do where it is at its usual place."""
    return environment(data_dir=machine / "data", config=machine / "etc/cellblock/cellblock.toml", port=_free_port()) | {
        "PATH": f"{machine / 'bin'}:{CELLBLOCK.parent}:{os.environ['PATH']}",
        "SYSTEMD_PLACE": str(machine),
    }


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl (apt install curl)")
def test_every_command_of_the_day_does_what_the_text_says(machine: Path, built_runtime: Runtime) -> None:
    shell = variables(machine)
    day = f"set -euo pipefail\n{placed(commands(), machine)}"
    done = subprocess.run(["bash", "-c", day], capture_output=True, text=True, timeout=110, cwd=machine / "work", env=shell)
    try:
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        said = done.stdout
        assert "49999995000000" in said
        assert "support makes no interpreters" in said
        assert "bob is out" in said
        assert re.search(r'cellblock_throttles_total\{account="111122223333",operation="InvokeCodeInterpreter"\} [1-9]', said)
        assert list(csv.DictReader((machine / "work" / "usage.csv").open()))
        assert said.count("analysis-") >= 3, "listed before the rotation, after it, and after the restore"
    finally:
        subprocess.run([machine / "bin" / "systemctl", "stop", "cellblock"], env=shell, capture_output=True, timeout=60)
