"""Every promised number stands in the specification and names the script that measures it, and every script is there for one."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = sorted(path.name for path in BENCHMARKS.glob("[a-z]*.py"))  # as `make bench` finds them
PROMISES: dict[str, Any] = runpy.run_path(str(BENCHMARKS / "_promises.py"))["PROMISES"]
ROW = re.compile(r"^\| (.+?) \| (.+?) \| (.+?) \| \[`(.+?)`\]\((.+?)\) \|$", re.MULTILINE)


def rows() -> list[tuple[str, ...]]:
    """What, target, measured, script's name and its link, of each number in the document."""
    return ROW.findall((ROOT / "docs" / "specification.md").read_text())


def test_make_runs_every_script() -> None:
    recipe = re.search(r"^bench:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    assert "benchmarks/[a-z]*.py" in recipe[1]


def test_specification_says_what_the_scripts_judge() -> None:
    judged = {(promise.what, promise.target, f"{promise.script}.py") for promise in PROMISES.values()}
    assert {(what, target, script) for what, target, _, script, _ in rows()} == judged


def test_every_number_of_the_specification_names_a_script_that_is_there() -> None:
    assert [link for *_, link in rows() if not (ROOT / "docs" / link).resolve().is_file()] == []


def test_every_number_was_measured() -> None:
    assert [what for what, _, measured, _, _ in rows() if not re.search(r"\d", measured)] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_measures_a_promised_number(script: str) -> None:
    assert script.removesuffix(".py") in {promise.script for promise in PROMISES.values()}


@pytest.mark.parametrize("name", PROMISES)
def test_promise_is_judged_by_its_script(name: str) -> None:
    text = (BENCHMARKS / f"{PROMISES[name].script}.py").read_text()
    assert f'"{name}"' in text or "left-{item.name}" in text


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_is_in_the_readme(script: str) -> None:
    assert f"| `{script}` |" in (BENCHMARKS / "README.md").read_text()


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_says_what_it_does_and_prints_json(script: str) -> None:
    done = subprocess.run([sys.executable, BENCHMARKS / script, "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--json" in done.stdout
    assert "usage:" in done.stdout
