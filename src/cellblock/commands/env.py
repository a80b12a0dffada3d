"""`cellblock env`."""

from __future__ import annotations

import click

from cellblock.machine.endpoint import exports
from cellblock.runtime.aws_models import write_models
from cellblock.settings.table import Settings
from cellblock.terminal.command_line import fail, with_settings


@click.command("env")
@with_settings("data_dir", "cache_dir", "region")
def command(settings: Settings) -> None:
    """Print what AWS clients need to use the server.

    Example: eval "$(cellblock env)"
    """
    models = settings.cache_dir / "aws-models"
    lines = exports(settings.data_dir, region=settings.region, models=models)
    try:
        write_models(models)
    except OSError as error:
        fail(f"cannot write to {models}: {error.strerror}; set CELLBLOCK_CACHE_DIR to a directory of yours")
    click.echo(lines, nl=False)
