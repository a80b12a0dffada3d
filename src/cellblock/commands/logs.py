"""`cellblock logs`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from cellblock.observing.audit_log import AUDIT_NAME, LOG_DIRECTORY
from cellblock.observing.log_lines import LOG_NAME
from cellblock.observing.log_reader import LEVELS, Line, Wanted, following, is_at_least, last_lines
from cellblock.settings.table import Settings
from cellblock.terminal.command_line import fail, json_option, with_settings
from cellblock.terminal.output import plain

FIRST = ("timestamp", "time", "level", "event", "operation")


@click.command("logs")
@click.option("--audit", is_flag=True, help="The audit log: who did what, when, from where, with what result.")
@click.option("-f", "--follow", is_flag=True, help="Go on as lines are written, until Ctrl-C.")
@click.option("-n", "--lines", default=50, show_default=True, type=click.IntRange(0, 1_000_000), help="How many of the last lines.")
@click.option("--session", help="Lines of this session.")
@click.option("--request", help="The line of this request id, which every answer has.")
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="Lines of this level and higher ones.")
@json_option
@with_settings("data_dir")
def command(settings: Settings, audit: bool, follow: bool, lines: int, as_json: bool, **chosen: str | None) -> None:
    """Show what the server logged, and the audit log; also when it does not run any more.

    Example: cellblock logs --level error --follow
    """
    path = settings.data_dir / LOG_DIRECTORY / (AUDIT_NAME if audit else LOG_NAME)
    try:
        _show(path, lines, _wanted(chosen), as_json=as_json, follow=follow)
    except FileNotFoundError:
        fail(f"there is no log in {path}; start a server with: cellblock serve --data-dir {settings.data_dir}")
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}")
    except KeyboardInterrupt:
        return


def _wanted(chosen: dict[str, str | None]) -> Wanted:
    session, request, level = chosen["session"], chosen["request"], chosen["level"] or "debug"

    def wanted(line: Line) -> bool:
        is_of_session = session is None or line.get("session") == session
        is_of_request = request is None or line.get("request_id") == request
        return is_of_session and is_of_request and is_at_least(line, level)

    return wanted


def _show(path: Path, lines: int, wanted: Wanted, *, as_json: bool, follow: bool) -> None:
    path.stat()
    for line in last_lines(path, lines, wanted):
        click.echo(json.dumps(line) if as_json else _text(line))
    for line in following(path, wanted) if follow else ():
        click.echo(json.dumps(line) if as_json else _text(line))


def _text(line: Line) -> str:
    first = [plain(str(line[name])) for name in FIRST if name in line]
    return " ".join([*first, *(f"{name}={plain(str(value))}" for name, value in line.items() if name not in FIRST)])
