"""Some of the API's own tests, on two nodes and two front ends; `make cluster` runs all of them so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).parent.parent / "conformance"
FILES = ("test_signatures.py", "test_http.py", "test_retries.py", "test_output_stream.py", "test_quotas.py")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_api_is_the_same_before_a_cluster() -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--server",
        "cluster",
        *(str(SUITE / name) for name in FILES),
    ]
    ended = subprocess.run(command, cwd=SUITE.parent.parent, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stdout[-5000:]
