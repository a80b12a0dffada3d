"""Imports point down, and every module has its place in the order."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_imports_keep_the_contracts() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--config", str(ROOT / "pyproject.toml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_host_layers_name_every_module() -> None:
    layers = CONFIGURATION["tool"]["importlinter"]["contracts"][0]
    assert layers["containers"] == ["cellblock"]
    assert layers["exhaustive"] is True


def test_cell_imports_nothing_of_the_host() -> None:
    """Said twice, because this is what keeps the host's code out of reach of a session's."""
    lines = [line.strip() for path in (ROOT / "src" / "cellblock_cell").rglob("*.py") for line in path.read_text().splitlines()]
    assert [
        line for line in lines if line.startswith(("import cellblock.", "import cellblock ", "from cellblock.", "from cellblock "))
    ] == []


@pytest.mark.parametrize("package", ["cellblock", "cellblock_cell"])
def test_package_file_holds_a_docstring_and_nothing_else(package: str) -> None:
    for path in (ROOT / "src" / package).rglob("__init__.py"):
        assert path.read_text().strip().startswith('"""'), path
        assert path.read_text().strip().endswith('"""'), path
