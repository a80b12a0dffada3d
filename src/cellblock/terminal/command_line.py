"""What the commands share: options for settings and for JSON, refusals, the event loop."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import uvloop

from cellblock.settings.groups.entry import flag, rule_of, variable
from cellblock.settings.sources import FILE_VARIABLE
from cellblock.settings.table import TABLE, Effective, kinds, read

ResultT = TypeVar("ResultT")
Command = Callable[..., None]

ALL_SETTINGS = tuple(TABLE)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Commands(click.Group):
    """A group whose list has the first paragraph of each command, which click cuts off."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """click: the list in the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, (command.help or "").partition("\n\n")[0]) for name, command in sorted(self.commands.items())])


def with_settings(*names: str) -> Callable[[Command], Command]:
    """Give a command --config and an option for each of these settings; it is called with `settings`."""

    def decorate(command: Command) -> Command:
        @with_effective(*names)
        @functools.wraps(command)
        def call(effective: Effective, **arguments: Any) -> None:
            command(settings=effective.settings, **arguments)

        return call

    return decorate


def with_effective(*names: str) -> Callable[[Command], Command]:
    """The same for a command that is called with `effective`, which knows where a setting comes from."""

    def decorate(command: Command) -> Command:
        def call(config: Path | None, **arguments: Any) -> None:
            flags = {name: arguments.pop(name) for name in names}
            given = {name: text for name, text in flags.items() if text is not None}
            command(effective=read(given, config), **arguments)

        decorated: Command = functools.wraps(command)(call)
        for name in reversed(names):
            decorated = _setting_option(name)(decorated)
        return _config_option(decorated)

    return decorate


def fail(message: str) -> NoReturn:
    """Say what is wrong on standard error and end with status 1."""
    sys.stderr.write(f"cellblock: {message}\n")
    sys.exit(1)


def run(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """The result of work on an event loop of its own."""
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(work)


_config_option = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help=f"File of settings.  [default: {FILE_VARIABLE}, or the usual place]"
)


def _setting_option(name: str) -> Callable[[Command], Command]:
    is_place = kinds()[name] is Path
    callback = (lambda _context, _option, text: text and str(Path(text).absolute())) if is_place else None
    text = rule_of(TABLE[name]).help
    return click.option(
        flag(name),
        name,
        metavar="DIRECTORY" if is_place else "VALUE",
        callback=callback,
        help=f"{text[0].upper()}{text[1:]}.  [{variable(name)}]",
    )
