"""`cellblock mcp`."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import click

from cellblock.clients.server import Server, ServerNotFound, find_server, named_server
from cellblock.model.resources import BUILT_IN_INTERPRETER_ID
from cellblock.observing import log_lines
from cellblock.settings.table import Settings
from cellblock.terminal.command_line import ALL_SETTINGS, fail, run, with_settings
from cellblock.wire.bearer import bearer_token

STDIO_MODULE = "cellblock.mcp.stdio"


@click.command("mcp")
@click.option("--interpreter", "interpreter_id", default=BUILT_IN_INTERPRETER_ID, show_default=True, help="Whose sessions are used.")
@click.option("--print-config", is_flag=True, help="Print what an MCP client's configuration needs instead.")
@click.option("--http", "over_http", is_flag=True, help="With --print-config: for clients that connect to the server's /mcp.")
@with_settings(*ALL_SETTINGS)
def command(settings: Settings, interpreter_id: str, print_config: bool, over_http: bool) -> None:
    """Give an MCP client a code interpreter, over standard input and output.

    A session starts at the first tool call and ends with the connection. It is one of the server that the environment names
    (as `cellblock env` exports it), else of the one that runs on the data directory, else of a private server.

    Example: claude mcp add cellblock -- cellblock mcp
    """
    try:
        _server(settings)
    except ServerNotFound as error:
        fail(str(error))
    if print_config or over_http:
        click.echo(json.dumps({"mcpServers": {"cellblock": _over_http(settings) if over_http else _over_stdio()}}, indent=2))
        return
    stdio = importlib.import_module(STDIO_MODULE)  # a second of work that the configuration does not need
    writer = log_lines.set_up("warning", sys.stderr)
    try:
        run(stdio.serve_stdio(settings, lambda: _server(settings), interpreter_id))
    finally:
        writer.close()


def _server(settings: Settings) -> Server | None:
    """The server that the environment names, or the one that runs here and that this user may use."""
    if named := named_server():
        return named
    try:
        return find_server(settings.data_dir)
    except (ServerNotFound, OSError):
        return None


def _over_stdio() -> dict[str, object]:
    """With the program's path: clients that are no shells have no PATH."""
    return {"command": str(Path(sys.argv[0]).absolute()), "args": ["mcp"]}


def _over_http(settings: Settings) -> dict[str, object]:
    server = _server(settings)
    if server is None:
        fail(f"no server runs on {settings.data_dir}, and the environment names none; start one with: cellblock serve")
    token = bearer_token(server.key_id, server.secret)
    return {"type": "http", "url": f"{server.url.rstrip('/')}/mcp", "headers": {"Authorization": f"Bearer {token}"}}
