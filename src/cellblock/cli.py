"""The `cellblock` program: finds a command by its name and imports no other."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from cellblock.errors import CommandFailed, HostNotReady


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: the module that holds it as `command`, and what the list of commands says of it."""

    module: str
    help: str


COMMANDS = {
    "serve": Entry("serve", "Serve the API until SIGINT or SIGTERM."),
    "env": Entry("env", "Print what AWS clients need to use the server."),
    "run": Entry("run", "Run one piece of code in a sandbox of its own."),
    "gateway": Entry("gateway", "Serve functions of a Python file to MCP clients."),
    "mcp": Entry("mcp", "Give an MCP client a code interpreter."),
    "repl": Entry("repl", "Type into a session of a running server."),
    "runtime": Entry("runtime", "Build or list the Python, Node and libraries that sessions see."),
    "interpreters": Entry("interpreters", "List, make, show and delete interpreters."),
    "sessions": Entry("sessions", "List, stop and watch the sessions of the server of this machine."),
    "nodes": Entry("nodes", "List and drain the nodes of a cluster."),
    "logs": Entry("logs", "Show what the server logged, and the audit log."),
    "accounts": Entry("accounts", "List or make accounts: what belongs to one is not seen by another."),
    "keys": Entry("keys", "Hand out, list, revoke and rotate access keys."),
    "backup": Entry("backup", "Write the state into a file, while the server runs or not."),
    "restore": Entry("restore", "Put the state of a back-up in the place of the data directory's."),
    "usage": Entry("usage", "Print what sessions used and what it costs."),
    "settings": Entry("settings", "Print the settings in force and where each comes from."),
    "agent": Entry("agent", "Serve handlers as AgentCore Runtime does, each in a process of its own on this machine."),
    "doctor": Entry("doctor", "Check what cells need of this machine."),
    "completion": Entry("completion", "Print the lines that make a shell complete commands and options."),
}


class LazyCommands(click.Group):
    """A group whose commands are imported when they are asked for: a start or a list must not wait for all of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """click: the names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """click: one of them."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"cellblock.commands.{COMMANDS[cmd_name].module}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"{cmd_name} is no command")
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """click: what may follow; a press of the tabulator must not import every command."""
        names = [CompletionItem(name, help=entry.help) for name, entry in COMMANDS.items() if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """click: the list in the help, which needs no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("cellblock"), prog_name="cellblock", message="%(prog)s %(version)s")
def commands() -> None:
    """A code interpreter for AI agents on your own machine, behind the Amazon Bedrock AgentCore API."""


def main() -> None:
    """The `cellblock` command: what a user can mend is told in one line, without a traceback."""
    try:
        commands()
    except HostNotReady as error:
        _fail(f"{error.message}\n`cellblock doctor` says what this machine lacks")
    except CommandFailed as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"cellblock: {message}\n")
    sys.exit(1)
