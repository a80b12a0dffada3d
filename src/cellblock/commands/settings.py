"""`cellblock settings`."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from cellblock.settings.groups.entry import rule_of, variable
from cellblock.settings.table import TABLE, Effective
from cellblock.settings.values import text_of
from cellblock.terminal.command_line import ALL_SETTINGS, json_option, with_effective

HIDDEN = "(set, not shown)"


@click.command("settings")
@json_option
@with_effective(*ALL_SETTINGS)
def command(effective: Effective, as_json: bool) -> None:
    """Print the settings in force and where each comes from: an option, a variable, a line of the file, or the default.

    Example: cellblock settings --config /etc/cellblock/cellblock.toml
    """
    if as_json:
        rows = {name: {"value": value, "from": origin} for name, value, origin in _rows(effective)}
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for name, value, origin in _rows(effective):
        table.add_row(variable(name), value, origin)
    Console(soft_wrap=True, highlight=False, markup=False).print(table)


def _rows(effective: Effective) -> list[tuple[str, str, str]]:
    return [
        (name, _shown(getattr(effective.settings, name), rule_of(item).is_secret), effective.origins[name]) for name, item in TABLE.items()
    ]


def _shown(value: object, is_secret: bool) -> str:
    text = text_of(value)
    return HIDDEN if is_secret and text else text
