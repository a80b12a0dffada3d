"""What commands print: JSON for programs, tables for people, lines for spreadsheets; nothing of a client's text may steer a terminal."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Sequence
from datetime import datetime

import click

_COLOURS = re.compile(r"\x1b\[[0-9;]{0,32}m")


def print_json(value: object) -> None:
    """For programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """For people; nothing is cut off, because ids are copied from it."""
    click.echo(table_text(columns, rows))


def table_text(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The lines of a table."""
    lines = [columns, *([plain(text) for text in row] for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def print_csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """For spreadsheets."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def time_text(time: datetime | None) -> str:
    """A time as it is shown, to the second; nothing for none."""
    return "" if time is None else time.isoformat(timespec="seconds")


def span_text(seconds: float) -> str:
    """A span of time as people say it."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def plain(text: str) -> str:
    """One line of text: what a terminal would obey is spelled out."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def terminal_text(text: str) -> str:
    """Output of a session for a terminal: lines, tabs and colours stay, everything else that a terminal would obey is spelled out."""
    pieces: list[str] = []
    place = 0
    for colour in _COLOURS.finditer(text):
        pieces += [_spelled(text[place : colour.start()]), colour[0]]
        place = colour.end()
    return "".join([*pieces, _spelled(text[place:])])


def _spelled(text: str) -> str:
    return "".join(letter if letter.isprintable() or letter in "\n\t" else ascii(letter)[1:-1] for letter in text)
