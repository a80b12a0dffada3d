"""`cellblock repl`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cellblock.clients.blocking import BUILT_IN, Client
from cellblock.clients.results import ClientError
from cellblock.clients.server import find_server
from cellblock.settings.table import Effective, host_environment
from cellblock.terminal.command_line import fail, with_effective
from cellblock.terminal.repl.conversation import Conversation, Screen, SessionOver
from cellblock.terminal.repl.images import protocol_of
from cellblock.terminal.repl.lines import LANGUAGES
from cellblock.terminal.repl.prompt import piped, typed

HISTORY_NAME = "repl-history"


@click.command("repl")
@click.option("--interpreter", default=BUILT_IN, show_default=True, help="Interpreter of the session.")
@click.option("--language", type=click.Choice(tuple(LANGUAGES)), default="python", show_default=True, help="Language to begin with.")
@click.option("--timeout", type=click.IntRange(1, 28_800), help="Lifetime of the session in seconds.")
@with_effective("data_dir", "cache_dir")
def command(effective: Effective, interpreter: str, language: str, timeout: int | None) -> None:
    """Type into a session of a running server; with !commands, %upload, %download, %language ts.

    Enter runs what is complete and asks for another line otherwise; Ctrl-C interrupts what runs; Ctrl-D ends the session.
    Images are saved as figure-1.png and so on, and shown in iTerm2, WezTerm, kitty and Ghostty. Lines from a pipe are run
    one after the other.

    Example: cellblock repl --language ts
    """
    is_named = effective.origins["data_dir"] == "--data-dir"
    is_terminal = sys.stdout.isatty()
    screen = Screen(_write, is_terminal, protocol_of(host_environment(), is_terminal=is_terminal))
    try:
        server = find_server(effective.settings.data_dir if is_named else None)
        with Client(server) as client, client.session(interpreter, name="repl", timeout_seconds=timeout) as session:
            conversation = Conversation(session, screen, Path.cwd())
            conversation.choose(language)
            _converse(conversation, effective.settings.cache_dir / HISTORY_NAME)
    except ClientError as error:
        fail(str(error))


def _converse(conversation: Conversation, history: Path) -> None:
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        click.echo("%help shows what there is beside code; Ctrl-D ends the session")
    texts = typed(history, lambda: conversation.language) if is_terminal else piped(sys.stdin, lambda: conversation.language)
    try:
        for text in texts:
            if not conversation.take(text):
                return
    except SessionOver as error:
        fail(f"{error}; start another with: cellblock repl")
    except KeyboardInterrupt:
        return


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
