"""The product installs into an empty environment and starts there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("empty") / "environment"
    subprocess.run([sys.executable, "-m", "venv", place], check=True, timeout=120)
    pip = [place / "bin" / "pip", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "install", ROOT], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return place


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_installed_command_shows_its_help(empty_environment: Path, tmp_path: Path) -> None:
    done = subprocess.run([empty_environment / "bin" / "cellblock", "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for command in ("serve", "env", "run", "runtime", "doctor"):
        assert command in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_installed_package_carries_what_a_runtime_is_made_of(empty_environment: Path, tmp_path: Path) -> None:
    code = "from cellblock.runtime.layout import FILES, INPUTS; print([name for name in INPUTS if not (FILES / name).is_file()])"
    python = empty_environment / "bin" / "python"
    done = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
