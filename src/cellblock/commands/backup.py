"""`cellblock backup`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from cellblock.machine.backup import back_up
from cellblock.machine.data_directory import secrets_key_path
from cellblock.settings.table import Settings
from cellblock.terminal.command_line import fail, json_option, with_settings


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@with_settings("data_dir", "store")
def command(settings: Settings, file: Path, as_json: bool) -> None:
    """Write the state into a file, while the server runs or not.

    The file holds interpreters, sessions, keys with their secrets, and usage: keep it as you keep a password.

    Example: cellblock backup /var/backups/cellblock.tar.gz
    """
    if settings.store:
        fail(f"the state is in PostgreSQL; back it up with pg_dump, and keep the key that opens its secrets apart: {_key_file(settings)}")
    target = file.absolute()
    back_up(settings.data_dir, target)
    if settings.secrets_key_file:
        click.echo(f"cellblock: the key that opens the secrets is not in it: back up {settings.secrets_key_file} too", err=True)
    size = target.stat().st_size
    click.echo(json.dumps({"file": str(target), "bytes": size}) if as_json else f"backed up to {target} ({size} bytes)")


def _key_file(settings: Settings) -> Path:
    return Path(settings.secrets_key_file) if settings.secrets_key_file else secrets_key_path(settings.data_dir)
