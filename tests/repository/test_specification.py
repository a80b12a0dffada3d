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


def recipe(target: str) -> str:
    """What `make TARGET` runs."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def test_make_runs_every_script() -> None:
    everything = "$(wildcard benchmarks/[a-z]*.py)"
    assert f"$(filter-out benchmarks/soak.py benchmarks/fuzz.py $(CLUSTER_BENCHMARKS),{everything})" in recipe("bench")
    assert "$(CLUSTER_BENCHMARKS)" in recipe("bench-cluster")
    assert "benchmarks/soak.py" in recipe("soak")


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


def test_pictures_of_the_performance_page_are_there() -> None:
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", (ROOT / "docs" / "performance.md").read_text())
    assert pictures
    assert [name for name in pictures if not (ROOT / "docs" / name).is_file()] == []


@pytest.mark.parametrize("part", ["peers", "stages", "preload", "scale"])
def test_tables_of_the_performance_page_are_those_that_a_script_writes(part: str) -> None:
    written = (ROOT / "docs" / "performance.md").read_text()
    head, _, rest = written.partition(f"<!-- {part}, by benchmarks/_write_performance.py -->")
    table, _, tail = rest.partition(f"<!-- end of {part} -->")
    assert head
    assert tail
    assert "| ---: |" in table
