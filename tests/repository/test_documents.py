"""The documents say what the code does: every command, every error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cellblock import cli, errors
from cellblock.commands import pages

ROOT = Path(__file__).parents[2]


LEAVES = list(pages.leaves(cli.commands, "cellblock"))


def error_classes(base: type[errors.CellblockError]) -> Iterator[type[errors.CellblockError]]:
    yield base
    for derived in base.__subclasses__():
        yield from error_classes(derived)


@pytest.mark.parametrize("name", [name for _, name in LEAVES])
def test_command_is_in_the_readme(name: str) -> None:
    assert f"`{name}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_list_of_commands_says_what_the_command_says(name: str) -> None:
    command = cli.commands.get_command(click.Context(cli.commands), name)
    assert command is not None
    said = cli.COMMANDS[name].help.rstrip(".")
    assert (command.help or "").startswith(said), "the two say the same"


@pytest.mark.parametrize("command", [command for command, _ in LEAVES], ids=[name for _, name in LEAVES])
def test_help_of_a_command_shows_an_example(command: click.Command) -> None:
    assert "Example: " in (command.help or "")


def test_page_of_commands_is_what_they_say_of_themselves() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    assert page == pages.markdown(), "print it again: python -m cellblock.commands.pages > docs/commands.md"


@pytest.mark.parametrize("code", sorted({error.code for error in error_classes(errors.CellblockError)}))
def test_error_code_is_documented(code: str) -> None:
    assert code in (ROOT / "docs" / "wire.md").read_text()


@pytest.mark.parametrize("name", sorted({error.guide_name for error in error_classes(errors.CellblockError)} - {""}))
def test_error_name_of_the_guide_is_documented(name: str) -> None:
    assert name in (ROOT / "docs" / "wire.md").read_text()


@pytest.mark.parametrize("example", sorted(path.name for path in (ROOT / "examples").glob("*.py")))
def test_example_says_what_it_is(example: str) -> None:
    assert (ROOT / "examples" / example).read_text().startswith('"""')
