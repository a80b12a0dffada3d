"""Code of any language in a real cell, and the cases of tests/cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cellblock.model.calls import FileToWrite, Run, RunCode, WriteFiles
from cellblock.model.languages import LANGUAGES
from cells import MIB, BenchCell

CASES = Path(__file__).parent.parent / "cases"


@dataclass(frozen=True, slots=True)
class Program:
    """Code and where it runs."""

    code: str
    language: str
    runtime: str


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a case, and what it must give."""

    code: str
    stdout: str
    stderr: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class Case:
    """A directory: numbered code with what it prints (.out, .err) and its exit code (.exit), files of the workspace, the runtimes."""

    directory: Path
    runtime: str

    @property
    def language(self) -> str:
        """The directory above says it."""
        return self.directory.parent.name

    @property
    def files(self) -> tuple[FileToWrite, ...]:
        """What lies in the workspace."""
        root = self.directory / "files"
        return tuple(FileToWrite(str(path.relative_to(root)), path.read_bytes()) for path in sorted(root.rglob("*")) if path.is_file())

    @property
    def steps(self) -> list[Step]:
        """The calls, in their order."""
        ending = LANGUAGES[self.language].endings[0]
        paths = sorted(self.directory.glob(f"*{ending}"), key=lambda path: int(path.stem))
        return [_step(path) for path in paths]


def cases() -> Iterator[Case]:
    """Every case on every runtime that it is for."""
    for directory in sorted(CASES.glob("*/*/")):
        if directory.name.startswith("_"):
            continue
        only = _text(directory / "runtimes").split()
        for runtime in only or LANGUAGES[directory.parent.name].runtimes:
            yield Case(directory, runtime)


def run(cell: BenchCell, program: Program, *, clear_context: bool = False, timeout_seconds: float = 30) -> Run:
    """One call."""
    return cell.call(run_code(program, clear_context=clear_context, timeout_seconds=timeout_seconds))


def run_code(program: Program, *, clear_context: bool = False, timeout_seconds: float = 30) -> RunCode:
    """The request."""
    return RunCode(
        code=program.code,
        language=program.language,
        runtime=program.runtime,
        clear_context=clear_context,
        timeout_seconds=timeout_seconds,
        output_bytes=16 * MIB,
    )


def fill(cell: BenchCell, files: tuple[FileToWrite, ...]) -> None:
    """Put these files, and no others, into the workspace."""
    cell.command("find . -mindepth 1 -delete")
    if files:
        cell.call(WriteFiles(files))


def _step(path: Path) -> Step:
    printed, errors, status = (path.with_suffix(ending) for ending in (".out", ".err", ".exit"))
    return Step(path.read_text(), printed.read_text(), _text(errors), _number(status))


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _number(path: Path) -> int:
    return int(path.read_text()) if path.exists() else 0
