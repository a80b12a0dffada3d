"""docs/integrations.md shows programs with their output; they print it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from running_server import RunningServer

PAGE = Path(__file__).parents[2] / "docs" / "integrations.md"
SHOWN = re.compile(r"^```python\n((?:(?!^```).*\n)+)^```\n\n(?:.*\n\n)?^```\n((?:(?!^```).*\n)+)^```$", re.MULTILINE)
PROGRAMS = [(code, output) for code, output in SHOWN.findall(PAGE.read_text()) if not output.startswith(("$", '{"action"'))]


def test_page_shows_the_programs_that_are_run_here() -> None:
    assert [name for name in ("langgraph", "create_code_interpreter_toolkit", "AgentCoreSandbox") if name not in str(PROGRAMS)] == []


@pytest.mark.parametrize(("code", "output"), PROGRAMS, ids=[code.strip().splitlines()[-1] for code, _ in PROGRAMS])
def test_program_of_the_page_prints_what_the_page_shows(server: RunningServer, code: str, output: str) -> None:
    environment = server.client_environment()
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=100)
    assert done.stdout == output, done.stderr
