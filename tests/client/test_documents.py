"""The Python of README.md and docs/client.md runs as it is printed."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from running_server import RunningServer

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "docs" / "client.md")
FENCED = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
BLOCKS = [block for page in PAGES for block in FENCED.findall(page.read_text()) if "cellblock.client" in block or "session." in block]
IN_A_SESSION = "from cellblock.client import Session\nwith Session() as session:\n"
AWAITED = "import asyncio\nasync def main():\n{}\nasyncio.run(main())\n"


def whole(block: str) -> str:
    """A program: blocks that await or that speak of a session are put where that may be done."""
    if "await " in block:
        return AWAITED.format(textwrap.indent(block, "    "))
    return block if "import" in block else IN_A_SESSION + textwrap.indent(block, "    ")


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[-1].strip()[:40])
def test_block_runs(running: RunningServer, block: str, tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("month,sold\n1,10\n2,20\n")
    done = subprocess.run(
        [sys.executable, "-c", whole(block)], cwd=tmp_path, env=running.client_environment(), capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "image.save(" not in block or list(tmp_path.glob("chart-*.png"))
