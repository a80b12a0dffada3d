"""The documents say what the code does: every command, every error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cellblock import cli, errors

ROOT = Path(__file__).parents[2]


def commands(command: click.Command, name: str) -> Iterator[str]:
    """Every command in the words that a person types."""
    if not isinstance(command, click.Group):
        yield name
        return
    for part, inner in command.commands.items():
        if not inner.hidden:
            yield from commands(inner, f"{name} {part}")


def error_classes(base: type[errors.CellblockError]) -> Iterator[type[errors.CellblockError]]:
    yield base
    for derived in base.__subclasses__():
        yield from error_classes(derived)


@pytest.mark.parametrize("name", list(commands(cli.commands, "cellblock")))
def test_command_is_in_the_readme(name: str) -> None:
    assert f"`{name}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("code", sorted({error.code for error in error_classes(errors.CellblockError)}))
def test_error_code_is_documented(code: str) -> None:
    assert code in (ROOT / "docs" / "wire.md").read_text()


@pytest.mark.parametrize("name", sorted({error.guide_name for error in error_classes(errors.CellblockError)} - {""}))
def test_error_name_of_the_guide_is_documented(name: str) -> None:
    assert name in (ROOT / "docs" / "wire.md").read_text()


@pytest.mark.parametrize("example", sorted(path.name for path in (ROOT / "examples").glob("*.py")))
def test_example_says_what_it_is(example: str) -> None:
    assert (ROOT / "examples" / example).read_text().startswith('"""')
