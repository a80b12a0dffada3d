"""`cellblock usage`."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, get_args

import click

from cellblock.errors import CommandFailed
from cellblock.model.usage import SECONDS_AN_HOUR, CallUsage, GroupedBy, Prices, UsageQuery, UsageSum
from cellblock.settings.table import Settings
from cellblock.store.protocol import Store
from cellblock.terminal.command_line import json_option, with_settings
from cellblock.terminal.output import print_csv, print_json, print_table, time_text
from cellblock.terminal.store_commands import on_store

DAY = click.DateTime(["%Y-%m-%d"])

_Value = str | int | float


@dataclass(frozen=True, slots=True)
class _Sheet:
    """Rows under columns; a row's last value is its cost."""

    columns: tuple[str, ...]
    rows: list[tuple[_Value, ...]]

    @property
    def cost(self) -> float:
        """Of all rows."""
        return sum(float(row[-1]) for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """How it is printed."""

    prices: Prices
    as_csv: bool
    as_json: bool


def _with_form(command: Callable[..., None]) -> Callable[..., None]:
    @click.option("--prices", type=click.Path(path_type=Path, dir_okay=False), help="TOML with vcpu_hour, gb_hour and currency.")
    @click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
    @json_option
    @wraps(command)
    def call(prices: Path | None, as_csv: bool, as_json: bool, **arguments: Any) -> None:
        form = _Form(prices=Prices() if prices is None else _prices(prices), as_csv=as_csv, as_json=as_json)
        command(form=form, **arguments)

    return call


def _with_query(command: Callable[..., None]) -> Callable[..., None]:
    @click.option("--by", type=click.Choice(get_args(GroupedBy)), default="day", show_default=True, help="What is summed up.")
    @click.option("--account", help="Of this account alone.")
    @click.option("--since", type=DAY, help="From this day (UTC) on.")
    @click.option("--until", type=DAY, help="Up to this day, included.")
    @wraps(command)
    def call(by: GroupedBy, account: str | None, since: datetime | None, until: datetime | None, **arguments: Any) -> None:
        query = UsageQuery(by=by, account=account, since=since.date() if since else None, until=until.date() if until else None)
        command(query=query, **arguments)

    return call


@click.command("usage")
@_with_query
@click.option("--session", "session_id", help="Of this session, call by call.")
@_with_form
@with_settings("data_dir", "store")
def command(settings: Settings, query: UsageQuery, session_id: str | None, form: _Form) -> None:
    """Print what sessions used and what it costs.

    The prices are those that AWS publishes, or those of a file.

    Example: cellblock usage --by key --since 2026-01-01 --prices prices.toml
    """
    if session_id is None:
        names, sums = on_store(settings, lambda store: _read(store, query))
        sheet = _sheet_of_sums(sums, query.by, names, form.prices)
    else:
        sheet = _sheet_of_calls(on_store(settings, lambda store: store.list_call_usage(session_id)), form.prices)
    if form.as_json:
        rows = [dict(zip(sheet.columns, row, strict=True)) for row in sheet.rows]
        print_json({"prices": dataclasses.asdict(form.prices), "rows": rows, "cost": sheet.cost})
    elif form.as_csv:
        print_csv(sheet.columns, sheet.rows)
    else:
        print_table(sheet.columns, [[_shown(value) for value in row] for row in sheet.rows])
        click.echo(f"total: {sheet.cost:.6f} {form.prices.currency}")


async def _read(store: Store, query: UsageQuery) -> tuple[dict[str, str], tuple[UsageSum, ...]]:
    """The keys' names, when it is they that use is summed up by, and the sums."""
    keys = await store.list_access_keys() if query.by == "key" else ()
    return {key.id: key.name for key in keys}, await store.sum_usage(query)


def _sheet_of_sums(sums: tuple[UsageSum, ...], by: GroupedBy, names: dict[str, str], prices: Prices) -> _Sheet:
    name = ("name",) if by == "key" else ()
    columns = ("account", by, *name, "sessions", "calls", "elapsed_seconds", "cpu_seconds", "vcpu_hours", "gb_hours", "cost")
    rows: list[tuple[_Value, ...]] = []
    for one in sums:
        cost = prices.cost(one.vcpu_hours, one.gb_hours)
        figures = (one.sessions, one.calls, one.elapsed_seconds, one.cpu_seconds, one.vcpu_hours, one.gb_hours, cost)
        rows.append((one.account, one.group, *((names.get(one.group, ""),) if name else ()), *figures))
    return _Sheet(columns, rows)


def _sheet_of_calls(calls: tuple[CallUsage, ...], prices: Prices) -> _Sheet:
    columns = ("request_id", "tool", "key", "started_at", "elapsed_seconds", "cpu_seconds", "memory_peak_bytes", "gb_hours", "cost")
    rows: list[tuple[_Value, ...]] = []
    for one in calls:
        gb_hours = one.memory_gb_seconds / SECONDS_AN_HOUR
        cost = prices.cost(one.cpu_seconds / SECONDS_AN_HOUR, gb_hours)
        figures = (one.elapsed_seconds, one.cpu_seconds, one.memory_peak_bytes, gb_hours, cost)
        rows.append((one.request_id, one.tool, one.key_id, time_text(one.started_at), *figures))
    return _Sheet(columns, rows)


def _shown(value: _Value) -> str:
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _prices(path: Path) -> Prices:
    """Prices from a file; those that it does not name are the published ones. Raises CommandFailed."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandFailed(f"the prices in {path} cannot be read: {error}") from error
    known = {item.name: type(item.default) for item in dataclasses.fields(Prices)}
    for name, value in found.items():
        is_price = known.get(name) is float and isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        if not is_price and not (name == "currency" and isinstance(value, str)):
            raise CommandFailed(f"{path}: {name} = {value!r}: allowed are vcpu_hour and gb_hour, numbers from 0 on, and currency, a text")
    return Prices(**found)
