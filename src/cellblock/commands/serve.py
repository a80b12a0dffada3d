"""`cellblock serve`."""

from __future__ import annotations

import sys

import click

from cellblock import display, log_lines
from cellblock.audit_log import LOG_DIRECTORY
from cellblock.command_line import ALL_SETTINGS, fail, run, with_settings
from cellblock.data_directory import prepare_data_directory
from cellblock.endpoint import url
from cellblock.nodes import LocalNode
from cellblock.rotating_file import RotatingFile
from cellblock.server import Address, StopSignals, serve
from cellblock.settings import Settings


@click.command("serve")
@with_settings(*ALL_SETTINGS)
def command(settings: Settings) -> None:
    """Serve the API until SIGINT or SIGTERM; builds the runtime at the first start.

    Example: cellblock serve --port 8080 --max-sessions 50
    """
    address = Address(host=settings.host, port=settings.port)
    built = display.build_runtime(settings)
    prepare_data_directory(settings.data_dir)
    path = settings.data_dir / LOG_DIRECTORY / log_lines.LOG_NAME
    try:
        file = RotatingFile(path, limit_bytes=settings.log_file_bytes)
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}")
    writer = log_lines.set_up(settings.log_level, sys.stderr, file)
    try:
        run(_serve(settings, LocalNode(settings, built), address))
    except OSError as error:
        fail(f"cannot listen on {url(address.host, address.port)}: {error.strerror or error}")
    finally:
        writer.close()
        file.close()


async def _serve(settings: Settings, node: LocalNode, address: Address) -> None:
    stop = StopSignals()
    with stop.caught():
        await serve(settings, node, address, stop=stop, on_ready=_say_ready)


def _say_ready(bound: Address) -> None:
    click.echo(f"cellblock is ready on {url(bound.host, bound.port)}")
    sys.stdout.flush()
