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
    context = click.Context(command)
    for part in command.list_commands(context):
        inner = command.get_command(context, part)
        assert inner is not None
        if not inner.hidden:
            yield from commands(inner, f"{name} {part}")


def every_command(command: click.Command) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for part in command.list_commands(context):
            inner = command.get_command(context, part)
            assert inner is not None
            yield from every_command(inner)


LEAVES = [command for command in every_command(cli.commands) if not isinstance(command, click.Group)]


def error_classes(base: type[errors.CellblockError]) -> Iterator[type[errors.CellblockError]]:
    yield base
    for derived in base.__subclasses__():
        yield from error_classes(derived)


@pytest.mark.parametrize("name", list(commands(cli.commands, "cellblock")))
def test_command_is_in_the_readme(name: str) -> None:
    assert f"`{name}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_list_of_commands_says_what_the_command_says(name: str) -> None:
    command = cli.commands.get_command(click.Context(cli.commands), name)
    assert command is not None
    said = cli.COMMANDS[name].help.rstrip(".")
    assert (command.help or "").startswith(said), "the two say the same"


@pytest.mark.parametrize("command", LEAVES, ids=lambda command: command.callback.__module__ + "." + command.name)
def test_help_of_a_command_shows_an_example(command: click.Command) -> None:
    assert "Example: " in (command.help or "")


@pytest.mark.parametrize("code", sorted({error.code for error in error_classes(errors.CellblockError)}))
def test_error_code_is_documented(code: str) -> None:
    assert code in (ROOT / "docs" / "wire.md").read_text()


@pytest.mark.parametrize("name", sorted({error.guide_name for error in error_classes(errors.CellblockError)} - {""}))
def test_error_name_of_the_guide_is_documented(name: str) -> None:
    assert name in (ROOT / "docs" / "wire.md").read_text()


@pytest.mark.parametrize("example", sorted(path.name for path in (ROOT / "examples").glob("*.py")))
def test_example_says_what_it_is(example: str) -> None:
    assert (ROOT / "examples" / example).read_text().startswith('"""')
