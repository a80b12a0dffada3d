"""`cellblock sessions list`, `stop` and `watch`."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from cellblock.settings.table import MIB, Settings
from cellblock.terminal.command_line import Commands, json_option, with_settings
from cellblock.terminal.operator_client import OperatorClient
from cellblock.terminal.output import print_json, print_table, span_text, table_text
from cellblock.terminal.store_commands import ended_sessions

COLUMNS = ("session", "name", "account", "interpreter", "state", "age", "left", "calls", "memory", "cpu", "reason")
CLEAR = "\x1b[H\x1b[2J"
ENDED_SHOWN = 50

Row = dict[str, Any]

with_server = with_settings("data_dir", "store")


@click.group("sessions", cls=Commands)
def command() -> None:
    """List, stop and watch the sessions of the server of this machine; those of every account.

    These commands ask the server over a socket in its data directory: run them as the server's user or as root.
    """


@command.command("list")
@click.option("--all", "with_ended", is_flag=True, help=f"Sessions that have ended too, with the reason: the last {ENDED_SHOWN}.")
@json_option
@with_server
def list_command(settings: Settings, with_ended: bool, as_json: bool) -> None:
    """List sessions with age, state, memory and CPU time.

    Example: cellblock sessions list --all
    """
    found: list[Row] = OperatorClient(settings.data_dir).server()["sessions"]
    if with_ended:
        found = found + ended_sessions(settings, ENDED_SHOWN)
    if as_json:
        print_json(found)
    else:
        print_table(COLUMNS, [_row(one) for one in found])


@command.command("stop")
@click.argument("sessions", nargs=-1, required=True)
@json_option
@with_server
def stop_command(settings: Settings, sessions: tuple[str, ...], as_json: bool) -> None:
    """End sessions and wait until nothing of them is left.

    Example: cellblock sessions stop 01J8ZQ5V6M2X3Y4Z5A6B7C8D9E
    """
    for session in sessions:
        stopped = OperatorClient(settings.data_dir).stop(session)
        click.echo(json.dumps(stopped) if as_json else f"session {session} is stopped")


@command.command("watch")
@click.option("--interval", default=1.0, show_default=True, type=click.FloatRange(0.2, 3600), help="Seconds between two looks.")
@click.option("--times", type=click.IntRange(1), help="End after so many looks.  [default: at Ctrl-C]")
@json_option
@with_server
def watch_command(settings: Settings, interval: float, times: int | None, as_json: bool) -> None:
    """Show live sessions again and again, with the processors that each uses; ends at Ctrl-C.

    Example: cellblock sessions watch --interval 2
    """
    client, before, looks = OperatorClient(settings.data_dir), _Look({}, time.monotonic()), 0
    try:
        while True:
            server = client.server()
            before = _show(server, before, as_json)
            looks += 1
            if looks == times:
                return
            time.sleep(interval)
    except KeyboardInterrupt:
        return


class _Look:
    """The CPU seconds of each session at one time."""

    def __init__(self, seconds: dict[str, float], at: float) -> None:
        self.seconds = seconds
        self.at = at

    def processors(self, session: Row, now: float) -> float | None:
        """How many processors a session has used on average since; None the first time."""
        earlier, later = self.seconds.get(session["sessionId"]), session["cpuSeconds"]
        return None if earlier is None or later is None else max(0.0, later - earlier) / max(0.001, now - self.at)


def _show(server: Row, before: _Look, as_json: bool) -> _Look:
    at = time.monotonic()
    sessions: list[Row] = [one | {"cpus": before.processors(one, at)} for one in server["sessions"]]
    if as_json:
        click.echo(json.dumps(server | {"sessions": sessions}))
    else:
        head = f"{len(sessions)} sessions, {server['poolCells']} cells ready{', draining' if server['draining'] else ''}"
        table = table_text(COLUMNS, [_row(one) for one in sessions])
        click.echo(f"{CLEAR if sys.stdout.isatty() else ''}{head}\n{table}\n")
    return _Look({one["sessionId"]: one["cpuSeconds"] for one in sessions if one["cpuSeconds"] is not None}, at)


def _row(one: Row) -> tuple[str, ...]:
    memory = one.get("memoryBytes")
    left = one.get("secondsLeft")
    return (
        one["sessionId"],
        one.get("name") or "",
        one["account"],
        one["interpreter"],
        one["state"],
        span_text(one["ageSeconds"]),
        "" if left is None else span_text(left),
        str(one.get("calls", "")),
        "" if memory is None else f"{memory / MIB:.0f} MB",
        _cpu(one),
        one.get("reason") or "",
    )


def _cpu(one: Row) -> str:
    """Processors used of late where that is known; else the time since the start."""
    if one.get("cpus") is not None:
        return f"{one['cpus'] * 100:.0f} %"
    return "" if one.get("cpuSeconds") is None else f"{one['cpuSeconds']:.2f} s"
