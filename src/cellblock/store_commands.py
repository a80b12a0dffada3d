"""What the commands share that look into the store or change it, beside a running server or without one."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

import click

from cellblock.command_line import run
from cellblock.errors import CellblockError, CommandFailed
from cellblock.settings import Settings
from cellblock.store.protocol import Store
from cellblock.store_opening import open_store

ResultT = TypeVar("ResultT")


def on_store(settings: Settings, work: Callable[[Store], Awaitable[ResultT]]) -> ResultT:
    """The result of work on the store. Raises CommandFailed for what the store refuses."""

    async def opened() -> ResultT:
        store = await open_store(settings)
        try:
            return await work(store)
        finally:
            await store.close()

    try:
        return run(opened())
    except CellblockError as error:
        raise CommandFailed(error.message) from error


def print_json(value: object) -> None:
    """For programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """For people; nothing is cut off, because ids are copied from it."""
    lines = [columns, *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def print_csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """For spreadsheets."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def time_text(time: datetime | None) -> str:
    """A time as it is shown, to the second; nothing for none."""
    return "" if time is None else time.isoformat(timespec="seconds")
