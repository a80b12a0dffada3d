"""`cellblock accounts list` and `create`."""

from __future__ import annotations

import re

import click

from cellblock.model.resources import Account, now
from cellblock.settings.groups.keys import ACCOUNT_FORM
from cellblock.settings.table import Settings
from cellblock.terminal.command_line import Commands, json_option, with_settings
from cellblock.terminal.output import print_json, print_table, time_text
from cellblock.terminal.store_commands import on_store

NAME_FORM = r"[A-Za-z0-9][A-Za-z0-9 _.@-]{0,63}"


@click.group("accounts", cls=Commands)
def command() -> None:
    """List or make accounts: what belongs to one is not seen by another."""


@command.command("list")
@json_option
@with_settings("data_dir", "store")
def list_command(settings: Settings, as_json: bool) -> None:
    """List the accounts.

    Example: cellblock accounts list
    """
    accounts = on_store(settings, lambda store: store.list_accounts())
    if as_json:
        print_json([_members(account) for account in accounts])
    else:
        print_table(("account", "name", "created"), [(one.id, one.name, time_text(one.created_at)) for one in accounts])


@command.command("create")
@click.argument("account")
@click.option("--name", help="What people call it.  [default: its number]")
@json_option
@with_settings("data_dir", "store")
def create_command(settings: Settings, account: str, name: str | None, as_json: bool) -> None:
    """Make an account of 12 digits; give it keys with `cellblock keys create`.

    Example: cellblock accounts create 111122223333 --name research
    """
    if not re.fullmatch(ACCOUNT_FORM, account):
        raise click.UsageError(f"an account is 12 digits, as 111122223333, and not {account!r}")
    if name is not None and not re.fullmatch(NAME_FORM, name):
        raise click.UsageError("a name has up to 64 letters, digits, spaces and . _ @ -, and begins with a letter or digit")
    made = on_store(settings, lambda store: store.create_account(Account(id=account, name=name or account, created_at=now())))
    if as_json:
        print_json(_members(made))
    else:
        click.echo(f"account {made.id} ({made.name}) is made; give it a key: cellblock keys create NAME --account {made.id}")


def _members(account: Account) -> dict[str, str]:
    return {"account": account.id, "name": account.name, "createdAt": time_text(account.created_at)}
