"""The page that documents the commands, from what they say of themselves: `python -m cellblock.commands.pages` prints it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from inspect import cleandoc

import click

from cellblock.cli import commands
from cellblock.settings.table import TABLE

HEAD = """# Commands

Options of settings are left out here, but `--data-dir`: [settings.md](settings.md) has them, and `cellblock COMMAND --help` shows them
with the others. Every command that reads settings takes `--config FILE`.
Where a command takes `--json` it prints JSON for programs. Errors are one line on standard error that says what to do next.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | not done; the line on standard error says why and what to do |
| 2 | the words make no command; `--help` shows those that do |
| 124 | `cellblock run`: the code ran longer than `CELLBLOCK_CALL_TIMEOUT_SECONDS` |
| 130 | `cellblock run`: interrupted |

The exit status of `cellblock run` is otherwise the code's own. `cellblock doctor` ends with 1 when cells cannot run on this machine.

`cellblock completion bash` (or `zsh`, `fish`) prints what makes a shell complete all of them.

This file is printed by `python -m cellblock.commands.pages`.
"""


def markdown() -> str:
    """The page."""
    return HEAD + "".join(_section(command, name) for command, name in leaves(commands, "cellblock"))


def leaves(command: click.Command, name: str) -> Iterator[tuple[click.Command, str]]:
    """Every command that does something, in the words that a person types."""
    if not isinstance(command, click.Group):
        yield command, name
        return
    context = click.Context(command)
    for part in command.list_commands(context):
        inner = command.get_command(context, part)
        if inner is not None and not inner.hidden:
            yield from leaves(inner, f"{name} {part}")


def _section(command: click.Command, name: str) -> str:
    words = " ".join([name, *(parameter.make_metavar(click.Context(command)) for parameter in command.params if _is_argument(parameter))])
    text, _, example = cleandoc(command.help or "").partition("Example: ")
    options = "".join(_row(option) for option in command.params if isinstance(option, click.Option) and _is_own(option))
    table = f"\n| option | meaning |\n|---|---|\n{options}" if options else ""
    return f"\n## {words}\n\n{text.strip()}\n\n```sh\n{example.strip()}\n```\n{table}"


def _is_argument(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Argument)


def _is_own(option: click.Option) -> bool:
    return not option.hidden and option.name != "config" and (option.name == "data_dir" or option.name not in TABLE)


def _row(option: click.Option) -> str:
    return f"| `{', '.join(option.opts)}`{_value(option)} | {(option.help or '').replace('  [', ' [')} |\n"


def _value(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return " " + " or ".join(f"`{one}`" for one in option.type.choices)
    return f" `{option.make_metavar(click.Context(click.Command('')))}`"


if __name__ == "__main__":
    sys.stdout.write(markdown())
