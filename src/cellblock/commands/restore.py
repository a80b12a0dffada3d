"""`cellblock restore`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from cellblock.machine.backup import restore
from cellblock.model.resources import now
from cellblock.settings.table import Settings
from cellblock.terminal.command_line import fail, json_option, with_settings


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@with_settings("data_dir", "store")
def command(settings: Settings, file: Path, as_json: bool) -> None:
    """Put the state of a back-up in the place of the data directory's.

    No server may run on it. What was there is kept beside it, in a directory that is named.

    Example: cellblock restore /var/backups/cellblock.tar.gz
    """
    if settings.store:
        fail("the state is in PostgreSQL; put it back with pg_restore")
    aside = restore(file, settings.data_dir, time=now())
    if as_json:
        click.echo(json.dumps({"dataDir": str(settings.data_dir), "setAside": str(aside) if aside else None}))
        return
    click.echo(f"{settings.data_dir} has the state of {file}" + (f"; what was there is in {aside}" if aside else ""))
