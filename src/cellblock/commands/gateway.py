"""`cellblock gateway`."""

from __future__ import annotations

import runpy
import signal
import sys
from pathlib import Path

import click

from cellblock.gateway import Gateway
from cellblock.terminal.command_line import fail


@click.command("gateway")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8090, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one.")
def command(file: Path, host: str, port: int) -> None:
    """Serve functions of a Python file to MCP clients.

    They are those that `@gateway.tool` marks; clients connect by streamable HTTP, with the token that is printed.

    Example: cellblock gateway tools.py --port 8090
    """
    sys.path.insert(0, str(file.absolute().parent))  # as when the file is run itself
    found = {id(value): value for value in runpy.run_path(str(file)).values() if isinstance(value, Gateway)}
    if len(found) != 1:
        fail(f"{file} holds {len(found)} gateways and one is needed: gateway = Gateway()")
    (gateway,) = found.values()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # uvicorn obeys it and raises it again when it has
    try:
        gateway.serve(host, port)
    except OSError as error:
        fail(f"cannot listen on {host} port {port}: {error.strerror or error}")
